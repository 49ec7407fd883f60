// SPDX-License-Identifier: Apache-2.0
// ClusterLoadAssignment: docs/envoy.md 2.5.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "model/unreachable.h"

namespace sockmesh {

namespace endpoint = envoy::config::endpoint::v3;

namespace {

constexpr std::uint64_t kMaxPriority = 128;
constexpr Bounds kAtLeastOne{1, UINT64_MAX};
constexpr std::uint64_t kMaxWeightSum = UINT32_MAX;

EdsHealth decodeHealth(int status) {
  switch (status) {
    case envoy::config::core::v3::HEALTHY:
      return EdsHealth::kHealthy;
    case envoy::config::core::v3::UNHEALTHY:
      return EdsHealth::kUnhealthy;
    case envoy::config::core::v3::DRAINING:
      return EdsHealth::kDraining;
    case envoy::config::core::v3::TIMEOUT:
      return EdsHealth::kTimeout;
    case envoy::config::core::v3::DEGRADED:
      return EdsHealth::kDegraded;
    default:  // also numbers that are none of the enum's, as Envoy has it
      return EdsHealth::kUnknown;
  }
}

// istio's ambient mode names the real destination behind its tunnel as "ip:port".
std::optional<SocketAddress> decodeInternalAddress(
    const envoy::config::core::v3::EnvoyInternalAddress& proto, FieldErrors& errors) {
  if (proto.server_listener_name().empty()) errors.add("server_listener_name", "is required");
  const auto address = SocketAddress::parse(proto.endpoint_id());
  if (!address.ok() || address->port == 0) {
    errors.add("endpoint_id", "'" + proto.endpoint_id() + "' is not an IP address and port");
    return std::nullopt;
  }
  return *address;
}

std::optional<SocketAddress> decodeAddress(const envoy::config::core::v3::Address& proto,
                                           FieldErrors& errors) {
  using Address = envoy::config::core::v3::Address;
  switch (proto.address_case()) {
    case Address::kSocketAddress: {
      const FieldErrors::Scope scope(errors, "socket_address");
      // Envoy also accepts port 0, on which no server listens.
      return decodeSocketAddress(proto.socket_address(), 0, errors);
    }
    case Address::kEnvoyInternalAddress: {
      const FieldErrors::Scope scope(errors, "envoy_internal_address");
      return decodeInternalAddress(proto.envoy_internal_address(), errors);
    }
    case Address::kPipe:
      errors.add("pipe", "a pipe cannot be reached by a TCP connect()");
      return std::nullopt;
    case Address::ADDRESS_NOT_SET:
      break;
  }
  errors.add("needs a socket_address");
  return std::nullopt;
}

// The first of the addresses that Envoy would try after `first` that is of the other family. One
// more of the same family is checked, and never used: a connect() has one try.
std::optional<SocketAddress> decodeOtherAddress(const endpoint::Endpoint& proto,
                                                const SocketAddress& first, FieldErrors& errors) {
  std::optional<SocketAddress> other;
  for (int i = 0; i < proto.additional_addresses_size(); ++i) {
    const FieldErrors::Scope scope(errors, "additional_addresses", i);
    const FieldErrors::Scope field(errors, "address");
    const auto address = decodeAddress(proto.additional_addresses(i).address(), errors);
    if (!other && address && address->ip.isV4() != first.ip.isV4()) other = address;
  }
  return other;
}

std::optional<SocketAddress> decodeMainAddress(const endpoint::Endpoint& proto,
                                               FieldErrors& errors) {
  const FieldErrors::Scope field(errors, "address");
  return decodeAddress(proto.address(), errors);
}

std::uint32_t decodeWeight(const endpoint::LbEndpoint& proto, FieldErrors& errors) {
  return wrapped(proto.has_load_balancing_weight(), proto.load_balancing_weight(), 1U,
                 "load_balancing_weight", errors, kAtLeastOne);
}

std::optional<Endpoint> decodeEndpoint(const endpoint::LbEndpoint& proto, FieldErrors& errors) {
  Endpoint decoded;
  decoded.weight = decodeWeight(proto, errors);
  decoded.health = decodeHealth(proto.health_status());
  decoded.lbMetadata = decodeLbMetadata(proto.metadata());
  if (!proto.has_endpoint()) {
    errors.add(proto.endpoint_name().empty() ? "endpoint" : "endpoint_name",
               proto.endpoint_name().empty() ? "is required" : "named endpoints are not supported");
    return std::nullopt;
  }
  const FieldErrors::Scope scope(errors, "endpoint");
  decoded.hostname = proto.endpoint().hostname();
  const auto address = decodeMainAddress(proto.endpoint(), errors);
  decoded.address = address.value_or(SocketAddress{});
  decoded.otherAddress = decodeOtherAddress(proto.endpoint(), decoded.address, errors);
  if (!address) return std::nullopt;
  return decoded;
}

// Checks that do not depend on the addresses of a locality's endpoints.
void checkLocality(const endpoint::LocalityLbEndpoints& proto, FieldErrors& errors) {
  checkBounds(proto.priority(), {0, kMaxPriority}, "priority", errors);
  if (proto.has_load_balancing_weight()) {
    checkBounds(proto.load_balancing_weight().value(), kAtLeastOne, "load_balancing_weight",
                errors);
  }
  if (proto.has_leds_cluster_locality_config()) {
    errors.add("leds_cluster_locality_config", "endpoints by LEDS are not supported");
  }
  if (proto.has_load_balancer_endpoints()) {
    errors.add("load_balancer_endpoints", "is not supported; use lb_endpoints");
  }
  std::uint64_t sum = 0;
  for (const auto& one : proto.lb_endpoints()) {
    sum += one.has_load_balancing_weight() ? one.load_balancing_weight().value() : 1;
  }
  if (sum > kMaxWeightSum) {
    errors.add("lb_endpoints", "the sum of their weights exceeds " + std::to_string(kMaxWeightSum));
  }
}

void checkDropOverloads(const endpoint::ClusterLoadAssignment::Policy& proto, FieldErrors& errors) {
  static constexpr std::uint32_t kDenominators[] = {100, 10'000, 1'000'000};
  if (proto.drop_overloads_size() > 1) {
    errors.add("drop_overloads", "only one is supported");
  }
  for (int i = 0; i < proto.drop_overloads_size(); ++i) {
    const FieldErrors::Scope scope(errors, "drop_overloads", i);
    const auto& drop = proto.drop_overloads(i);
    checkNotEmpty(drop.category(), "category", errors);
    const int denominator = drop.drop_percentage().denominator();
    if (denominator < 0 || denominator > 2) {
      errors.add("drop_percentage.denominator",
                 std::to_string(denominator) + " is none of its values");
    } else if (drop.drop_percentage().numerator() > kDenominators[denominator]) {
      errors.add("drop_percentage", "is more than the whole");
    }
  }
}

void decodePolicy(const endpoint::ClusterLoadAssignment::Policy& proto, LoadAssignment& decoded,
                  FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "policy");
  checkDropOverloads(proto, errors);  // only Envoy's HTTP router applies them
  decoded.overprovisioningFactor =
      wrapped(proto.has_overprovisioning_factor(), proto.overprovisioning_factor(),
              decoded.overprovisioningFactor, "overprovisioning_factor", errors, kAtLeastOne);
  decoded.weightedPriorityHealth = proto.weighted_priority_health();
  if (proto.has_endpoint_stale_after()) {
    decoded.endpointStaleAfter = duration(true, proto.endpoint_stale_after(), Nanos(0),
                                          DurationRule::kPositive, "endpoint_stale_after", errors);
  }
}

Locality decodeLocality(const envoy::config::core::v3::Locality& proto) {
  return {proto.region(), proto.zone(), proto.sub_zone()};
}

// Merges localities as Envoy does. A (locality, priority) that appears twice is one locality, and
// its last weight counts. An address that appears twice is one endpoint, and the first one counts.
class AssignmentBuilder {
 public:
  explicit AssignmentBuilder(LoadAssignment& into) : into_(into) {}

  LocalityEndpoints& locality(const endpoint::LocalityLbEndpoints& proto) {
    const auto key = std::make_pair(decodeLocality(proto.locality()), proto.priority());
    const auto [found, isNew] = index_.try_emplace(key, into_.localities.size());
    if (isNew) into_.localities.push_back({key.first, key.second, 0, {}});
    LocalityEndpoints& group = into_.localities[found->second];
    if (proto.has_load_balancing_weight()) group.weight = proto.load_balancing_weight().value();
    return group;
  }

  void add(LocalityEndpoints& group, Endpoint one) {
    if (!seen_.insert(one.address).second) return;
    if (const auto found = unreachable(into_.clusterName, one.address, one.otherAddress, {})) {
      into_.unreachable.push_back(found->address.toString() + ": " + found->why);
    }
    group.endpoints.push_back(std::move(one));
  }

 private:
  LoadAssignment& into_;
  std::map<std::pair<Locality, std::uint32_t>, std::size_t> index_;
  std::set<SocketAddress> seen_;
};

void checkLocalityWeights(const LoadAssignment& decoded, FieldErrors& errors) {
  std::map<std::uint32_t, std::uint64_t> sums;
  for (const LocalityEndpoints& group : decoded.localities) sums[group.priority] += group.weight;
  for (const auto& [priority, sum] : sums) {
    if (sum > kMaxWeightSum) {
      errors.add("endpoints", "the sum of the weights of all localities of priority " +
                                  std::to_string(priority) + " exceeds " +
                                  std::to_string(kMaxWeightSum));
    }
  }
}

}  // namespace

LoadAssignment decodeAssignmentInto(const endpoint::ClusterLoadAssignment& proto,
                                    FieldErrors& errors) {
  LoadAssignment decoded;
  decoded.clusterName = proto.cluster_name();
  decoded.contentHash = contentHash(proto);
  checkNotEmpty(proto.cluster_name(), "cluster_name", errors);
  AssignmentBuilder builder(decoded);
  decoded.localities.reserve(static_cast<std::size_t>(proto.endpoints_size()));
  for (int i = 0; i < proto.endpoints_size(); ++i) {
    const auto& group = proto.endpoints(i);
    const FieldErrors::Scope scope(errors, "endpoints", i);
    checkLocality(group, errors);
    LocalityEndpoints& into = builder.locality(group);
    into.endpoints.reserve(into.endpoints.size() +
                           static_cast<std::size_t>(group.lb_endpoints_size()));
    for (int j = 0; j < group.lb_endpoints_size(); ++j) {
      const FieldErrors::Scope inner(errors, "lb_endpoints", j);
      if (auto one = decodeEndpoint(group.lb_endpoints(j), errors)) {
        builder.add(into, std::move(*one));
      }
    }
  }
  checkLocalityWeights(decoded, errors);
  decodePolicy(proto.policy(), decoded, errors);
  return decoded;
}

Result<std::shared_ptr<const LoadAssignment>> decodeAssignment(
    const endpoint::ClusterLoadAssignment& proto) {
  FieldErrors errors;
  auto decoded = std::make_shared<const LoadAssignment>(decodeAssignmentInto(proto, errors));
  if (!errors.empty()) return errors.error();
  return decoded;
}

namespace {

// Nothing, and an error, where no name or no port is there.
std::optional<DnsTarget> decodeNamedAddress(const envoy::config::core::v3::Address& proto,
                                            FieldErrors& errors) {
  const FieldErrors::Scope field(errors, "address");
  if (!proto.has_socket_address()) {
    errors.add("needs a socket_address");
    return std::nullopt;
  }
  const FieldErrors::Scope socket(errors, "socket_address");
  const auto& address = proto.socket_address();
  DnsTarget target;
  target.name = address.address();
  checkNotEmpty(target.name, "address", errors);
  if (!address.resolver_name().empty()) {
    errors.add("resolver_name", "is not allowed in a DNS cluster");
  }
  if (address.has_named_port() || address.port_value() < 1 || address.port_value() > 65535) {
    errors.add("port_value", std::to_string(address.port_value()) + " is not a port");
    return std::nullopt;
  }
  target.port = static_cast<std::uint16_t>(address.port_value());
  if (const auto ip = IpAddress::parse(target.name)) target.literal = *ip;
  return target;
}

std::optional<DnsTarget> decodeTarget(const endpoint::LbEndpoint& proto, FieldErrors& errors) {
  const std::uint32_t weight = decodeWeight(proto, errors);
  const FieldErrors::Scope scope(errors, "endpoint");
  auto target = decodeNamedAddress(proto.endpoint().address(), errors);
  if (!target) return std::nullopt;
  target->pattern.weight = weight;
  target->pattern.health = decodeHealth(proto.health_status());
  target->pattern.lbMetadata = decodeLbMetadata(proto.metadata());
  const std::string& hostname = proto.endpoint().hostname();
  target->pattern.hostname = hostname.empty() ? target->name : hostname;
  return target;
}

}  // namespace

void decodeDnsTargets(const endpoint::ClusterLoadAssignment& proto, DnsDiscovery& into,
                      FieldErrors& errors) {
  checkNotEmpty(proto.cluster_name(), "cluster_name", errors);
  AssignmentBuilder builder(into.frame);
  for (int i = 0; i < proto.endpoints_size(); ++i) {
    const FieldErrors::Scope scope(errors, "endpoints", i);
    const auto& group = proto.endpoints(i);
    checkLocality(group, errors);
    const LocalityEndpoints& locality = builder.locality(group);
    const auto index = static_cast<std::size_t>(&locality - into.frame.localities.data());
    for (int j = 0; j < group.lb_endpoints_size(); ++j) {
      const FieldErrors::Scope inner(errors, "lb_endpoints", j);
      auto target = decodeTarget(group.lb_endpoints(j), errors);
      if (!target) continue;
      target->locality = index;
      into.targets.push_back(std::move(*target));
    }
  }
  checkLocalityWeights(into.frame, errors);
  decodePolicy(proto.policy(), into.frame, errors);
  // Only EDS knows when an assignment was sent.
  into.frame.endpointStaleAfter.reset();
}

}  // namespace sockmesh
