// SPDX-License-Identifier: Apache-2.0
// One decoder a resource type: the protobuf message as received -> the model's, with Envoy's
// defaults filled in and Envoy's (and PGV's) rules enforced. An Error lists every violation with
// its field path ("endpoints[1].lb_endpoints[0].load_balancing_weight: must be at least 1"); it
// becomes the NACK.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/listener.h"
#include "xds/field_errors.h"

namespace sockmesh {

Result<std::shared_ptr<const Cluster>> decodeCluster(
    const envoy::config::cluster::v3::Cluster& proto);

Result<std::shared_ptr<const LoadAssignment>> decodeAssignment(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& proto);
// The same for an assignment inside another resource; errors go to `errors` under its present path.
LoadAssignment decodeAssignmentInto(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto,
                                    FieldErrors& errors);

// A valid listener either makes VIPs (`listener`), or has no effect on connect() for the given
// reason.
struct DecodedListener {
  std::shared_ptr<const Listener> listener;  // null: left alone
  std::string leftAlone;                     // the reason then
};
Result<DecodedListener> decodeListener(const envoy::config::listener::v3::Listener& proto);

// lb_policy, its tuning, common_lb_config, lb_subset_config and load_balancing_policy.
LoadBalancing decodeLoadBalancing(const envoy::config::cluster::v3::Cluster& proto,
                                  FieldErrors& errors);

// filter_metadata["envoy.lb"]. Empty if there is none.
MetadataStruct decodeLbMetadata(const envoy::config::core::v3::Metadata& proto);

// 64 bits of a deterministic serialisation: equal resources have equal hashes.
std::uint64_t contentHash(const google::protobuf::Message& message);

}  // namespace sockmesh
