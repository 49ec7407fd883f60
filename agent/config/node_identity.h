// SPDX-License-Identifier: Apache-2.0
// Who the agent says it is to the control plane. In a pod, Kubernetes' downward API says it in
// variables of the environment, so that nobody types a node id.
#pragma once

#include <string>
#include <vector>

#include "decode/field_errors.h"
#include "envoy/config/core/v3/core.pb.h"

namespace sockmesh {

// What the node says of itself. "" or none: not known.
struct NodeFacts {
  std::string podName;           // POD_NAME; without it, the host's name
  std::string podNamespace;      // POD_NAMESPACE
  std::vector<std::string> ips;  // POD_IPS, POD_IP; without them, the addresses of the interfaces
  std::string nodeName;          // NODE_NAME
  std::string serviceAccount;    // SERVICE_ACCOUNT
  std::string region, zone, subZone;  // NODE_REGION, NODE_ZONE, NODE_SUBZONE
  std::string clusterId;              // CLUSTER_ID
  std::string hostName;
};
NodeFacts readNodeFacts();

// `configured`, and what it leaves out:
// - the locality, from the facts;
// - an id: with a namespace (NAMESPACE of the metadata, or the facts') istiod's form
//   "sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN", else the host's name;
// - for an id "sidecar~...": metadata NAMESPACE, NODE_NAME, SERVICE_ACCOUNT, CLUSTER_ID,
//   INSTANCE_IPS (of both families) and DISABLE_HBONE_SEND "true". Booleans of the metadata become
//   the strings that istiod wants.
// What istiod would refuse, or would answer with services that cannot be used, goes to `errors`
// below "node". `clusterDomain` "" is "cluster.local".
envoy::config::core::v3::Node makeNode(const envoy::config::core::v3::Node& configured,
                                       const std::string& clusterDomain, const NodeFacts& facts,
                                       FieldErrors& errors);

// The namespace whose view istiod gives to this node; "" for a node id of another form.
std::string namespaceOf(const envoy::config::core::v3::Node& node);

// Whose view of the mesh the control plane gives to this node: the namespace, or the node id.
std::string viewOf(const envoy::config::core::v3::Node& node);

}  // namespace sockmesh
