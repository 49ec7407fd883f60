// SPDX-License-Identifier: Apache-2.0
// Cluster: docs/envoy.md 3, 4, 7.5; what a connect() cannot do is left alone or listed by name.
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/file_names.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;
using ProtoCluster = envoy::config::cluster::v3::Cluster;

namespace {

void decodeEds(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  if (!proto.has_eds_cluster_config()) {
    errors.add("eds_cluster_config", "is required in an EDS cluster");
    return;
  }
  const auto& eds = proto.eds_cluster_config();
  const std::string& name = eds.service_name().empty() ? proto.name() : eds.service_name();
  cluster.edsName = sourcedName(name, eds.eds_config(), "eds_cluster_config.eds_config", errors);
  cluster.edsInitialFetchTimeout = duration(
      eds.eds_config().has_initial_fetch_timeout(), eds.eds_config().initial_fetch_timeout(),
      cluster.edsInitialFetchTimeout, DurationRule::kNotNegative,
      "eds_cluster_config.eds_config.initial_fetch_timeout", errors);
}

void decodeStatic(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  bool empty = true;
  if (proto.has_load_assignment()) {
    const FieldErrors::Scope scope(errors, "load_assignment");
    auto inlined = decodeAssignmentInto(proto.load_assignment(), errors);
    for (const LocalityEndpoints& group : inlined.localities) {
      empty = empty && group.endpoints.empty();
    }
    cluster.inlineAssignment = std::make_shared<const LoadAssignment>(std::move(inlined));
  }
  if (empty) cluster.leaveAlone = LeftAloneReason::kBlackHole;
}

void decodeOriginalDst(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  cluster.leaveAlone = LeftAloneReason::kOriginalDst;
  if (cluster.lb.policy != LbPolicy::kClusterProvided) {
    errors.add("lb_policy", "an ORIGINAL_DST cluster needs CLUSTER_PROVIDED");
  }
  if (proto.has_load_assignment()) {
    errors.add("load_assignment", "is not allowed in an ORIGINAL_DST cluster");
  }
}

void decodeCustomType(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  const auto& custom = proto.cluster_type();
  checkNotEmpty(custom.name(), "cluster_type.name", errors);
  if (isDnsClusterType(custom)) return decodeDns(proto, cluster, errors);
  cluster.type = DiscoveryType::kStatic;
  cluster.leaveAlone = LeftAloneReason::kUnsupportedDiscovery;
}

void decodeDiscovery(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  if (proto.has_eds_cluster_config() && proto.type() != ProtoCluster::EDS) {
    errors.add("eds_cluster_config", "is only for an EDS cluster");
  }
  if (proto.has_cluster_type()) return decodeCustomType(proto, cluster, errors);
  if (cluster.lb.policy == LbPolicy::kClusterProvided &&
      proto.type() != ProtoCluster::ORIGINAL_DST) {
    errors.add("lb_policy", "CLUSTER_PROVIDED is only for an ORIGINAL_DST cluster");
  }
  switch (proto.type()) {
    case ProtoCluster::STATIC:
      cluster.type = DiscoveryType::kStatic;
      return decodeStatic(proto, cluster, errors);
    case ProtoCluster::STRICT_DNS:
    case ProtoCluster::LOGICAL_DNS:
      return decodeDns(proto, cluster, errors);
    case ProtoCluster::EDS:
      cluster.type = DiscoveryType::kEds;
      return decodeEds(proto, cluster, errors);
    case ProtoCluster::ORIGINAL_DST:
      cluster.type = DiscoveryType::kOriginalDst;
      return decodeOriginalDst(proto, cluster, errors);
    default:
      checkEnum(false, proto.type(), "type", errors);
  }
}

// An endpoint takes the socket of the first match whose labels it carries. A match without labels
// is for every endpoint. transport_socket counts only if no match applies.
void decodeTransportSockets(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  bool plain = !proto.has_transport_socket() || isPlaintext(proto.transport_socket());
  bool reachable = true;
  for (int i = 0; i < proto.transport_socket_matches_size(); ++i) {
    const FieldErrors::Scope scope(errors, "transport_socket_matches", i);
    const auto& match = proto.transport_socket_matches(i);
    checkNotEmpty(match.name(), "name", errors);
    if (!reachable) continue;
    const bool plainMatch = isPlaintext(match.transport_socket());
    if (match.match().fields().empty()) {
      plain = plainMatch;
      reachable = false;
    } else if (!plainMatch) {
      cluster.automaticTls = true;
    }
  }
  // A matcher chooses sockets by rules that only Envoy knows, so TLS cannot be ruled out.
  if (!plain || proto.has_transport_socket_matcher()) cluster.leaveAlone = LeftAloneReason::kTls;
}

using Thresholds = envoy::config::cluster::v3::CircuitBreakers::Thresholds;

// The first entry for priority DEFAULT, which is the only one that TCP uses. Null if there is none.
const Thresholds* defaultThresholds(const google::protobuf::RepeatedPtrField<Thresholds>& list,
                                    std::string_view field, FieldErrors& errors) {
  const Thresholds* found = nullptr;
  for (int i = 0; i < list.size(); ++i) {
    const FieldErrors::Scope scope(errors, field, i);
    const Thresholds& one = list.Get(i);
    checkEnum(core::RoutingPriority_IsValid(one.priority()), one.priority(), "priority", errors);
    (void)percent(one.retry_budget().has_budget_percent(), one.retry_budget().budget_percent(), 20,
                  "retry_budget.budget_percent", errors);
    if (found == nullptr && one.priority() == core::DEFAULT) found = &one;
  }
  return found;
}

void decodeCircuitBreakers(const envoy::config::cluster::v3::CircuitBreakers& proto,
                           CircuitBreakers& breakers, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "circuit_breakers");
  if (const auto* found = defaultThresholds(proto.thresholds(), "thresholds", errors)) {
    if (found->has_max_connections()) breakers.maxConnections = found->max_connections().value();
    if (found->has_max_pending_requests()) {
      breakers.maxPendingRequests = found->max_pending_requests().value();
    }
  }
  const auto* perHost =
      defaultThresholds(proto.per_host_thresholds(), "per_host_thresholds", errors);
  if (perHost != nullptr && perHost->has_max_connections()) {
    breakers.perHostMaxConnections = perHost->max_connections().value();
  }
}

std::optional<std::uint32_t> optionalValue(bool present,
                                           const google::protobuf::UInt32Value& proto) {
  if (!present) return std::nullopt;
  return proto.value();
}

void decodeConnections(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  cluster.connectTimeout =
      duration(proto.has_connect_timeout(), proto.connect_timeout(), cluster.connectTimeout,
               DurationRule::kPositive, "connect_timeout", errors);
  const auto& options = proto.upstream_connection_options();
  if (options.has_tcp_keepalive()) {
    const auto& alive = options.tcp_keepalive();
    cluster.keepalive = TcpKeepalive{
        .probes = optionalValue(alive.has_keepalive_probes(), alive.keepalive_probes()),
        .timeSeconds = optionalValue(alive.has_keepalive_time(), alive.keepalive_time()),
        .intervalSeconds =
            optionalValue(alive.has_keepalive_interval(), alive.keepalive_interval())};
  }
  cluster.closeConnectionsOnHostHealthFailure = proto.close_connections_on_host_health_failure();
  if (proto.has_circuit_breakers()) {
    decodeCircuitBreakers(proto.circuit_breakers(), cluster.circuitBreakers, errors);
  }
  if (proto.has_outlier_detection()) {
    const FieldErrors::Scope scope(errors, "outlier_detection");
    cluster.outlierDetection = decodeOutlierDetection(proto.outlier_detection(), errors);
  }
}

void checkHealthChecks(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  for (int i = 0; i < proto.health_checks_size(); ++i) {
    const FieldErrors::Scope scope(errors, "health_checks", i);
    const auto& check = proto.health_checks(i);
    const auto required = [&](bool present, const google::protobuf::Duration& value,
                              std::string_view field) {
      if (!present) errors.add(field, "is required");
      (void)duration(present, value, Nanos(0), DurationRule::kPositive, field, errors);
    };
    required(check.has_timeout(), check.timeout(), "timeout");
    required(check.has_interval(), check.interval(), "interval");
    if (!check.has_unhealthy_threshold()) errors.add("unhealthy_threshold", "is required");
    if (!check.has_healthy_threshold()) errors.add("healthy_threshold", "is required");
    if (proto.health_checks_size() > 1) checkNotEmpty(check.name(), "name", errors);
    if (check.health_checker_case() == core::HealthCheck::HEALTH_CHECKER_NOT_SET) {
      errors.add("health_checker", "names no checker, or one that is not supported");
    }
  }
  if (proto.health_checks_size() > 0) {
    cluster.notHonoured.push_back("health_checks: endpoints are not checked actively");
  }
}

// Lists fields that change what Envoy does to a TCP connection and that a connect() cannot follow.
void listNotHonoured(const ProtoCluster& proto, Cluster& cluster) {
  for (const std::string& one : cluster.lb.notHonoured) cluster.notHonoured.push_back(one);
  if (proto.has_upstream_bind_config()) {
    cluster.notHonoured.push_back("upstream_bind_config: the application's socket stays as bound");
  }
}

}  // namespace

Result<std::shared_ptr<const Cluster>> decodeCluster(const ProtoCluster& proto) {
  FieldErrors errors;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = proto.name();
  cluster->contentHash = contentHash(proto);
  checkNotEmpty(proto.name(), "name", errors);
  cluster->lb = decodeLoadBalancing(proto, errors);
  decodeDiscovery(proto, *cluster, errors);
  decodeTransportSockets(proto, *cluster, errors);
  decodeConnections(proto, *cluster, errors);
  checkHealthChecks(proto, *cluster, errors);
  (void)duration(proto.has_cleanup_interval(), proto.cleanup_interval(), Nanos(0),
                 DurationRule::kPositive, "cleanup_interval", errors);
  listNotHonoured(proto, *cluster);
  if (!errors.empty()) return errors.error();
  return std::shared_ptr<const Cluster>(std::move(cluster));
}

}  // namespace sockmesh
