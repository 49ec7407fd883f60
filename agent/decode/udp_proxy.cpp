// SPDX-License-Identifier: Apache-2.0
#include "decode/udp_proxy.h"

#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy.pb.h"

namespace sockmesh {

using UdpProxy = envoy::extensions::filters::udp::udp_proxy::v3::UdpProxyConfig;

namespace {

void decodeRoute(const UdpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  switch (proto.route_specifier_case()) {
    case UdpProxy::kCluster:
      checkNotEmpty(proto.cluster(), "cluster", errors);
      decoded.route.clusters.push_back({proto.cluster(), 1, {}});
      return;
    case UdpProxy::kMatcher:
      decoded.leftAlone = "udp_proxy routes by a matcher";
      return;
    case UdpProxy::ROUTE_SPECIFIER_NOT_SET:
      errors.add("route_specifier", "needs a cluster or a matcher");
  }
}

void decodeHashPolicies(const UdpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  if (proto.hash_policies_size() > 1) errors.add("hash_policies", "more than one is not allowed");
  for (int i = 0; i < proto.hash_policies_size(); ++i) {
    const FieldErrors::Scope scope(errors, "hash_policies", i);
    const UdpProxy::HashPolicy& policy = proto.hash_policies(i);
    switch (policy.policy_specifier_case()) {
      case UdpProxy::HashPolicy::kSourceIp:
        if (!policy.source_ip()) errors.add("source_ip", "must be true");
        decoded.route.hashSourceIp = true;
        break;
      case UdpProxy::HashPolicy::kKey:
        checkNotEmpty(policy.key(), "key", errors);
        decoded.notHonoured.push_back("hash_policies.key: flows are spread by chance");
        break;
      case UdpProxy::HashPolicy::POLICY_SPECIFIER_NOT_SET:
        errors.add("names nothing to hash");
    }
  }
}

void decodeUdpProxy(const UdpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  checkNotEmpty(proto.stat_prefix(), "stat_prefix", errors);
  decodeRoute(proto, decoded, errors);
  decodeHashPolicies(proto, decoded, errors);
  const Nanos idle = duration(proto.has_idle_timeout(), proto.idle_timeout(), Nanos(0),
                              DurationRule::kNotNegative, "idle_timeout", errors);
  if (idle > Nanos(0)) {
    decoded.notHonoured.push_back("idle_timeout: a flow ends with its socket");
  }
  if (proto.use_per_packet_load_balancing()) {
    decoded.notHonoured.push_back(
        "use_per_packet_load_balancing: a socket's datagrams stay on one endpoint");
  }
  if (proto.has_upstream_socket_config()) {
    decoded.notHonoured.push_back("upstream_socket_config: the application has its own socket");
  }
  if (!proto.session_filters().empty()) decoded.leftAlone = "udp_proxy has session_filters";
}

}  // namespace

ChainRoute decodeUdpFilters(const envoy::config::listener::v3::Listener& proto,
                            FieldErrors& errors) {
  ChainRoute decoded;
  decoded.leftAlone = "UDP without udp_proxy";
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    const auto& filter = proto.listener_filters(i);
    if (!isType<UdpProxy>(filter.typed_config())) continue;
    const FieldErrors::Scope scope(errors, "listener_filters", i);
    UdpProxy proxy;
    ChainRoute own;
    if (unpack(filter.typed_config(), proxy, errors)) {
      const FieldErrors::Scope inside(errors, "typed_config");
      decodeUdpProxy(proxy, own, errors);
    }
    decoded = std::move(own);
    break;
  }
  if (proto.udp_listener_config().has_quic_options()) decoded.leftAlone = "terminates QUIC";
  return decoded;
}

}  // namespace sockmesh
