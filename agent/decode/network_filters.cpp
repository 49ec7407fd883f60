// SPDX-License-Identifier: Apache-2.0
// tcp_proxy and what stands before it: docs/envoy.md 7.3.
#include "decode/network_filters.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/http_manager.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace sockmesh {

namespace listener = envoy::config::listener::v3;
using TcpProxy = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

namespace {

constexpr Bounds kAtLeastOne{1, UINT64_MAX};
constexpr Nanos kShortest = std::chrono::milliseconds(1);

// Words in the names and types of filters that refuse, delay or redirect connections.
constexpr std::array<std::string_view, 9> kDeciding = {"rbac",
                                                       "authz",
                                                       "ratelimit",
                                                       "rate_limit",
                                                       "connection_limit",
                                                       "connectionlimit",
                                                       "ssl_auth",
                                                       "proxy_protocol",
                                                       "dynamic_forward_proxy"};

void decodeClusters(const TcpProxy& proto, TcpRoute& route, FieldErrors& errors) {
  const MetadataStruct match = decodeLbMetadata(proto.metadata_match());
  switch (proto.cluster_specifier_case()) {
    case TcpProxy::kCluster:
      // Envoy also accepts "", a name that no cluster has.
      route.clusters.push_back({proto.cluster(), 1, match});
      return;
    case TcpProxy::kWeightedClusters: {
      const FieldErrors::Scope scope(errors, "weighted_clusters");
      const auto& clusters = proto.weighted_clusters().clusters();
      if (clusters.empty()) errors.add("clusters", "must not be empty");
      for (int i = 0; i < clusters.size(); ++i) {
        const FieldErrors::Scope leg(errors, "clusters", i);
        checkNotEmpty(clusters.Get(i).name(), "name", errors);
        checkBounds(clusters.Get(i).weight(), kAtLeastOne, "weight", errors);
        route.clusters.push_back(
            {clusters.Get(i).name(), clusters.Get(i).weight(),
             mergedCriteria(match, decodeLbMetadata(clusters.Get(i).metadata_match()))});
      }
      return;
    }
    case TcpProxy::CLUSTER_SPECIFIER_NOT_SET:
      errors.add("cluster_specifier", "needs a cluster or weighted_clusters");
  }
}

void decodeHashPolicy(const TcpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  using HashPolicy = envoy::type::v3::HashPolicy;
  if (proto.hash_policy_size() > 1) errors.add("hash_policy", "only one is allowed");
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    switch (proto.hash_policy(i).policy_specifier_case()) {
      case HashPolicy::kSourceIp:
        decoded.route.hashSourceIp = true;
        break;
      case HashPolicy::kFilterState:
        decoded.notHonoured.push_back("hash_policy.filter_state: a connect() has none");
        break;
      case HashPolicy::POLICY_SPECIFIER_NOT_SET: {
        const FieldErrors::Scope scope(errors, "hash_policy", i);
        errors.add("names nothing to hash, or something that is not supported");
      }
    }
  }
}

void decodeTimes(const TcpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  const auto notHonoured = [&](Nanos value, const std::string& field) {
    if (value > Nanos(0)) {
      decoded.notHonoured.push_back(field + ": established connections are not watched for it");
    }
  };
  notHonoured(duration(proto.has_idle_timeout(), proto.idle_timeout(), Nanos(0),
                       DurationRule::kNotNegative, "idle_timeout", errors),
              "idle_timeout");
  const Nanos longest = duration(
      proto.has_max_downstream_connection_duration(), proto.max_downstream_connection_duration(),
      kShortest, DurationRule::kNotNegative, "max_downstream_connection_duration", errors);
  if (longest < kShortest) errors.add("max_downstream_connection_duration", "is less than 1ms");
  if (proto.has_max_downstream_connection_duration()) {
    notHonoured(longest, "max_downstream_connection_duration");
  }
  if (proto.has_backoff_options()) {
    const FieldErrors::Scope scope(errors, "backoff_options");
    const auto& backoff = proto.backoff_options();
    if (!backoff.has_base_interval()) errors.add("base_interval", "is required");
    const Nanos base = duration(backoff.has_base_interval(), backoff.base_interval(), kShortest,
                                DurationRule::kPositive, "base_interval", errors);
    const Nanos max = duration(backoff.has_max_interval(), backoff.max_interval(), base,
                               DurationRule::kPositive, "max_interval", errors);
    if (max < base) errors.add("max_interval", "is less than base_interval");
  }
}

void decodeConnectMode(const TcpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  namespace proxy = envoy::extensions::filters::network::tcp_proxy::v3;
  checkEnum(proxy::UpstreamConnectMode_IsValid(proto.upstream_connect_mode()),
            proto.upstream_connect_mode(), "upstream_connect_mode", errors);
  if (proto.upstream_connect_mode() == proxy::IMMEDIATE) return;
  if (!proto.has_max_early_data_bytes()) {
    errors.add("max_early_data_bytes", "is required unless upstream_connect_mode is IMMEDIATE");
  }
  decoded.notHonoured.push_back("upstream_connect_mode: the application connects immediately");
}

void decodeTcpProxy(const TcpProxy& proto, ChainRoute& decoded, FieldErrors& errors) {
  checkNotEmpty(proto.stat_prefix(), "stat_prefix", errors);
  decodeClusters(proto, decoded.route, errors);
  decodeHashPolicy(proto, decoded, errors);
  decodeTimes(proto, decoded, errors);
  decodeConnectMode(proto, decoded, errors);
  const auto attempts = wrapped(proto.has_max_connect_attempts(), proto.max_connect_attempts(), 1U,
                                "max_connect_attempts", errors, kAtLeastOne);
  if (attempts > 1) {
    decoded.notHonoured.push_back("max_connect_attempts: a connect() is tried once");
  }
  if (proto.has_on_demand()) {
    decoded.notHonoured.push_back("on_demand: clusters are not asked for by name");
  }
  (void)percent(proto.has_max_downstream_connection_duration_jitter_percentage(),
                proto.max_downstream_connection_duration_jitter_percentage(), 0,
                "max_downstream_connection_duration_jitter_percentage", errors);
  if (proto.has_tunneling_config()) {
    checkNotEmpty(proto.tunneling_config().hostname(), "tunneling_config.hostname", errors);
    decoded.leftAlone = "tcp_proxy tunnels over HTTP (tunneling_config)";
  }
}

// The state of the walk over a chain's filters.
struct Walk {
  ChainRoute& decoded;
  bool terminated = false;  // a terminal filter was met

  void leaveAlone(const std::string& reason) {
    if (decoded.leftAlone.empty()) decoded.leftAlone = reason;
  }
};

void visitFilter(const listener::Filter& filter, Walk& walk, FieldErrors& errors) {
  checkNotEmpty(filter.name(), "name", errors);
  std::string type = configTypeName(filter.typed_config());
  for (const auto& url : filter.config_discovery().type_urls()) type += ' ' + url;
  const bool isProxy = isType<TcpProxy>(filter.typed_config());
  const bool isHttp = isHttpManager(filter.typed_config());
  if (walk.terminated) return;
  if (isProxy) {
    TcpProxy proxy;
    ChainRoute own;
    if (unpack(filter.typed_config(), proxy, errors)) {
      const FieldErrors::Scope scope(errors, "typed_config");
      decodeTcpProxy(proxy, own, errors);
    }
    if (!own.leftAlone.empty()) walk.leaveAlone(own.leftAlone);
    walk.decoded.route = std::move(own.route);
    walk.decoded.notHonoured = std::move(own.notHonoured);
  } else if (isHttp) {
    HttpManager manager = decodeHttpManager(filter.typed_config(), errors);
    if (!manager.leftAlone.empty()) walk.leaveAlone(manager.leftAlone);
    walk.decoded.http = std::move(manager.chain);
  } else if (decidesOverConnections(filter.name(), type)) {
    walk.leaveAlone("filter " + filter.name() + " decides over connections");
  }
  walk.terminated = isProxy || isHttp;
}

}  // namespace

bool decidesOverConnections(const std::string& name, const std::string& type) {
  std::string words = name + ' ' + type;
  for (char& c : words) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::any_of(kDeciding.begin(), kDeciding.end(),
                     [&](std::string_view word) { return words.find(word) != std::string::npos; });
}

ChainRoute decodeChain(const listener::FilterChain& chain, FieldErrors& errors) {
  ChainRoute decoded;
  Walk walk{decoded};
  for (int i = 0; i < chain.filters_size(); ++i) {
    const FieldErrors::Scope scope(errors, "filters", i);
    visitFilter(chain.filters(i), walk, errors);
    if (walk.terminated && i + 1 < chain.filters_size()) {
      errors.add("'" + chain.filters(i).name() + "' is terminal and must be the last filter");
      break;
    }
  }
  if (chain.has_transport_socket() && !isPlaintext(chain.transport_socket())) {
    decoded.leftAlone = "terminates TLS (transport_socket)";
  } else if (chain.use_proxy_proto().value()) {
    decoded.leftAlone = "expects the PROXY protocol (use_proxy_proto)";
  } else if (chain.filters().empty()) {
    decoded.leftAlone = "filter chain without filters: Envoy closes the connection";
  } else if (!walk.terminated) {
    walk.leaveAlone("no tcp_proxy: ends with filter " + chain.filters().rbegin()->name());
  }
  return decoded;
}

}  // namespace sockmesh
