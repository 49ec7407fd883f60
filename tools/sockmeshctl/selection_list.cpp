// SPDX-License-Identifier: Apache-2.0
#include "selection_list.h"

#include <netinet/in.h>

#include <algorithm>

#include "inspect/verdict_reasons.h"
#include "lb/abi_names.h"
#include "maps/client_text.h"
#include "maps/codec.h"

namespace sockmesh::ctl {
namespace {

// The name of the service at the VIP; "" where it is gone.
std::string serviceOf(const NodeView& view, const sm_selection& one) {
  const SocketAddress vip = vipOf(one);
  const Protocol protocol = one.protocol == IPPROTO_UDP ? Protocol::kUdp : Protocol::kTcp;
  auto found = view.image.services.find({vip, protocol});
  if (found == view.image.services.end()) found = view.image.serviceAt(vip);
  return found == view.image.services.end() ? "" : found->second.service->name;
}

}  // namespace

SocketAddress vipOf(const sm_selection& one) {
  return {decodeAddress(one.vip_be), decodePort(one.vip_port_be)};
}

SocketAddress endpointOf(const sm_selection& one) {
  return {decodeAddress(one.endpoint_be), decodePort(one.endpoint_port_be)};
}

std::string clusterOf(const NodeView& view, const sm_selection& one) {
  const auto found = view.image.clusterNames.find(one.cluster_id);
  return found == view.image.clusterNames.end() ? "" : found->second;
}

std::string eventOf(const sm_selection& one) {
  if (one.endpoint_id != SM_NONE) return "selection";
  return one.policy == SM_POLICY_REFUSE ? "refused" : "left_alone";
}

std::string reasonOf(const sm_selection& one) {
  return one.reason == SM_REASON_NONE ? "" : std::string(reasonLabel(one.reason));
}

std::string podCgroupOf(const NodeView& view, const sm_selection& one) {
  if ((one.client & SM_CLIENT_KIND) != SM_CLIENT_IS_POD) return "";
  const auto found = view.cgroupPaths.find(one.client & ~SM_CLIENT_KIND);
  return found == view.cgroupPaths.end() ? "" : found->second;
}

std::string threadOf(const sm_selection& one) {
  return {one.thread, std::ranges::find(one.thread, '\0')};
}

std::string kindOf(const sm_selection& one) {
  return one.kind == SM_SELECTION_FLOW ? "flow" : "connect";
}

Json selectionJson(const NodeView& view, const sm_selection& one) {
  const bool chosen = one.endpoint_id != SM_NONE;
  const SocketAddress vip = vipOf(one);
  return {{"event", eventOf(one)},
          {"reason", reasonOf(one)},
          {"by", kindOf(one)},
          {"protocol", protocolName(one.protocol)},
          {"vip", vip.ip.toString()},
          {"vipPort", vip.port},
          {"service", serviceOf(view, one)},
          {"cluster", clusterOf(view, one)},
          {"address", chosen ? endpointOf(one).ip.toString() : ""},
          {"port", chosen ? endpointOf(one).port : 0},
          {"policy", policyName(one.policy)},
          {"client", clientText(one.client)},
          {"cgroup", podCgroupOf(view, one)},
          {"pid", one.tgid},
          {"thread", threadOf(one)},
          {"tookNs", one.took_ns}};
}

}  // namespace sockmesh::ctl
