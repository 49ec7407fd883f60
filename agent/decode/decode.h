// SPDX-License-Identifier: Apache-2.0
// One decoder a resource type: the protobuf message as received -> the model's, with Envoy's
// defaults filled in and Envoy's (and PGV's) rules enforced. An Error lists every violation with
// its field path ("endpoints[1].lb_endpoints[0].load_balancing_weight: must be at least 1"); it
// becomes the NACK.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "decode/decoded_listener.h"
#include "decode/field_errors.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "istio/networking/nds/v1/nds.pb.h"
#include "istio/workload/workload.pb.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/name_table.h"
#include "model/route.h"
#include "model/workload.h"

namespace sockmesh {

Result<std::shared_ptr<const Cluster>> decodeCluster(
    const envoy::config::cluster::v3::Cluster& proto);

Result<std::shared_ptr<const LoadAssignment>> decodeAssignment(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& proto);
// The same for an assignment inside another resource; errors go to `errors` under its present path.
LoadAssignment decodeAssignmentInto(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto,
                                    FieldErrors& errors);

// decode/listener_parts.h makes the VIPs of it.
Result<std::shared_ptr<const DecodedListener>> decodeListener(
    const envoy::config::listener::v3::Listener& proto);

Result<std::shared_ptr<const RouteConfig>> decodeRouteConfig(
    const envoy::config::route::v3::RouteConfiguration& proto);
// The same for a route configuration inside another resource, where it needs no name.
RouteConfig decodeRouteConfigInto(const envoy::config::route::v3::RouteConfiguration& proto,
                                  FieldErrors& errors);

Result<std::shared_ptr<const NameTable>> decodeNameTable(
    const istio::networking::nds::v1::NameTable& proto);

// Of a service, a workload without addresses.
Result<std::shared_ptr<const Workload>> decodeWorkload(const istio::workload::Address& proto);

// lb_policy, its tuning, common_lb_config, lb_subset_config and load_balancing_policy.
LoadBalancing decodeLoadBalancing(const envoy::config::cluster::v3::Cluster& proto,
                                  FieldErrors& errors);

// filter_metadata["envoy.lb"]. Empty if there is none.
MetadataStruct decodeLbMetadata(const envoy::config::core::v3::Metadata& proto);
// The criteria of a leg over those of the proxy or route around it, key by key.
MetadataStruct mergedCriteria(const MetadataStruct& around, const MetadataStruct& leg);

// 64 bits of a deterministic serialisation: equal resources have equal hashes.
std::uint64_t contentHash(const google::protobuf::Message& message);

}  // namespace sockmesh
