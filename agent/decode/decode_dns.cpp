// SPDX-License-Identifier: Apache-2.0
// Clusters whose endpoints are host names: docs/envoy.md 7.5.
#include <array>
#include <charconv>
#include <utility>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/dns_names.h"
#include "envoy/extensions/clusters/dns/v3/dns.pb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;
using ProtoCluster = envoy::config::cluster::v3::Cluster;
using DnsCluster = envoy::extensions::clusters::dns::v3::DnsCluster;
using Cares = envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

namespace {

constexpr std::string_view kClusterType = "envoy.clusters.dns";
constexpr Nanos kShortestRate = std::chrono::milliseconds(1);
constexpr std::uint32_t kDnsPort = 53;
constexpr std::uint64_t kLongestTimeoutSeconds = 3600;

DnsFamily familyOf(ProtoCluster::DnsLookupFamily family, FieldErrors& errors) {
  switch (family) {
    case ProtoCluster::AUTO:
      return DnsFamily::kAuto;
    case ProtoCluster::V4_ONLY:
      return DnsFamily::kV4Only;
    case ProtoCluster::V6_ONLY:
      return DnsFamily::kV6Only;
    case ProtoCluster::V4_PREFERRED:
      return DnsFamily::kV4Preferred;
    case ProtoCluster::ALL:
      return DnsFamily::kAll;
    default:
      checkEnum(false, family, "dns_lookup_family", errors);
      return DnsFamily::kAuto;
  }
}

namespace common = envoy::extensions::clusters::common::dns::v3;

// The numbers of this enum are others.
DnsFamily familyOf(common::DnsLookupFamily family, FieldErrors& errors) {
  switch (family) {
    case common::UNSPECIFIED:
    case common::AUTO:
      return DnsFamily::kAuto;
    case common::V4_ONLY:
      return DnsFamily::kV4Only;
    case common::V6_ONLY:
      return DnsFamily::kV6Only;
    case common::V4_PREFERRED:
      return DnsFamily::kV4Preferred;
    case common::ALL:
      return DnsFamily::kAll;
    default:
      checkEnum(false, family, "dns_lookup_family", errors);
      return DnsFamily::kAuto;
  }
}

Nanos atLeastShortest(Nanos rate, std::string_view field, FieldErrors& errors) {
  if (rate < kShortestRate) errors.add(field, "must be at least 1ms");
  return rate;
}

// ProtoCluster::RefreshRate and DnsCluster::RefreshRate have the same fields.
template <typename RefreshRate>
DnsFailureRate failureRateOf(const RefreshRate& proto, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "dns_failure_refresh_rate");
  DnsFailureRate rate;
  if (!proto.has_base_interval()) errors.add("base_interval", "is required");
  rate.base =
      atLeastShortest(duration(proto.has_base_interval(), proto.base_interval(), kShortestRate,
                               DurationRule::kPositive, "base_interval", errors),
                      "base_interval", errors);
  rate.max = duration(proto.has_max_interval(), proto.max_interval(), 10 * rate.base,
                      DurationRule::kPositive, "max_interval", errors);
  if (rate.max < rate.base) errors.add("max_interval", "is less than base_interval");
  return rate;
}

// The fields that ProtoCluster and DnsCluster have both.
template <typename Proto>
void decodeRefresh(const Proto& proto, DnsDiscovery& dns, FieldErrors& errors) {
  dns.refresh.rate = atLeastShortest(
      duration(proto.has_dns_refresh_rate(), proto.dns_refresh_rate(), dns.refresh.rate,
               DurationRule::kPositive, "dns_refresh_rate", errors),
      "dns_refresh_rate", errors);
  dns.refresh.jitter = duration(proto.has_dns_jitter(), proto.dns_jitter(), Nanos(0),
                                DurationRule::kNotNegative, "dns_jitter", errors);
  dns.refresh.respectTtl = proto.respect_dns_ttl();
  if (proto.has_dns_failure_refresh_rate()) {
    dns.refresh.failureRate = failureRateOf(proto.dns_failure_refresh_rate(), errors);
  }
  dns.family = familyOf(proto.dns_lookup_family(), errors);
}

// Addresses of servers, at `field`. Without a port it is that of DNS.
void decodeServers(const google::protobuf::RepeatedPtrField<core::Address>& protos,
                   std::string_view field, DnsResolverSettings& settings, FieldErrors& errors) {
  for (int i = 0; i < protos.size(); ++i) {
    const FieldErrors::Scope scope(errors, field, i);
    if (!protos.Get(i).has_socket_address()) {
      errors.add("needs a socket_address");
      continue;
    }
    const FieldErrors::Scope socket(errors, "socket_address");
    core::SocketAddress proto = protos.Get(i).socket_address();
    if (proto.port_value() == 0) proto.set_port_value(kDnsPort);
    if (const auto server = decodeSocketAddress(proto, 1, errors)) {
      settings.servers.push_back(*server);
    }
  }
}

void decodeOptions(const core::DnsResolverOptions& proto, DnsResolverSettings& settings) {
  settings.tcp = proto.use_tcp_for_dns_lookups();
  settings.search = !proto.no_default_search_domain();
}

void decodeCares(const Cares& proto, DnsDiscovery& dns, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "typed_config");
  DnsResolverSettings& settings = dns.settings;
  decodeServers(proto.resolvers(), "resolvers", settings, errors);
  decodeOptions(proto.dns_resolver_options(), settings);
  settings.serversAreFallback = proto.use_resolvers_as_fallback();
  settings.rotate = proto.rotate_nameservers();
  settings.timeoutSeconds = wrapped(proto.has_query_timeout_seconds(),
                                    proto.query_timeout_seconds(), settings.timeoutSeconds,
                                    "query_timeout_seconds", errors, {1, kLongestTimeoutSeconds});
  settings.tries = wrapped(proto.has_query_tries(), proto.query_tries(), settings.tries,
                           "query_tries", errors, {1, 100});
}

// What is said by the newest of the fields counts, as in Envoy.
void decodeTypedResolver(const core::TypedExtensionConfig& proto, DnsDiscovery& dns,
                         Cluster& cluster, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "typed_dns_resolver_config");
  Cares cares;
  if (isType<Cares>(proto.typed_config())) {
    if (unpack(proto.typed_config(), cares, errors)) decodeCares(cares, dns, errors);
  } else {
    cluster.notHonoured.push_back(
        "typed_dns_resolver_config: " + std::string(typeName(proto.typed_config())) +
        " is not used, the agent asks the system's servers");
  }
}

void decodeResolver(const ProtoCluster& proto, DnsDiscovery& dns, Cluster& cluster,
                    FieldErrors& errors) {
  if (proto.has_typed_dns_resolver_config()) {
    return decodeTypedResolver(proto.typed_dns_resolver_config(), dns, cluster, errors);
  }
  if (proto.has_dns_resolution_config()) {
    const FieldErrors::Scope scope(errors, "dns_resolution_config");
    decodeServers(proto.dns_resolution_config().resolvers(), "resolvers", dns.settings, errors);
    decodeOptions(proto.dns_resolution_config().dns_resolver_options(), dns.settings);
    return;
  }
  decodeServers(proto.dns_resolvers(), "dns_resolvers", dns.settings, errors);
  dns.settings.tcp = proto.use_tcp_for_dns_lookups();
}

void decodeLegacy(const ProtoCluster& proto, DnsDiscovery& dns, Cluster& cluster,
                  FieldErrors& errors) {
  dns.logical = proto.type() == ProtoCluster::LOGICAL_DNS;
  decodeRefresh(proto, dns, errors);
  decodeResolver(proto, dns, cluster, errors);
}

void decodeTyped(const ProtoCluster& proto, DnsDiscovery& dns, Cluster& cluster,
                 FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "cluster_type");
  DnsCluster typed;
  if (!proto.cluster_type().has_typed_config()) return;
  if (!unpack(proto.cluster_type().typed_config(), typed, errors)) return;
  const FieldErrors::Scope config(errors, "typed_config");
  dns.logical = typed.all_addresses_in_single_endpoint();
  decodeRefresh(typed, dns, errors);
  if (typed.has_typed_dns_resolver_config()) {
    decodeTypedResolver(typed.typed_dns_resolver_config(), dns, cluster, errors);
  }
}

void decodeEndpoints(const ProtoCluster& proto, DnsDiscovery& dns, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "load_assignment");
  const auto& assignment = proto.load_assignment();
  if (dns.logical &&
      (assignment.endpoints_size() != 1 || assignment.endpoints(0).lb_endpoints_size() != 1)) {
    errors.add("endpoints", "logical DNS needs exactly one locality with one endpoint");
  }
  if (proto.has_load_assignment()) decodeDnsTargets(assignment, dns, errors);
  if (!dns.logical) return;
  for (LocalityEndpoints& locality : dns.frame.localities) locality.priority = 0;
}

// Of everything that decides which endpoints there are: a cluster that differs in other fields
// keeps them.
std::uint64_t endpointsHash(const ProtoCluster& proto) {
  ProtoCluster part;
  part.set_type(proto.type());
  *part.mutable_load_assignment() = proto.load_assignment();
  if (proto.has_cluster_type()) *part.mutable_cluster_type() = proto.cluster_type();
  part.set_dns_lookup_family(proto.dns_lookup_family());
  *part.mutable_dns_resolvers() = proto.dns_resolvers();
  part.set_use_tcp_for_dns_lookups(proto.use_tcp_for_dns_lookups());
  if (proto.has_dns_resolution_config()) {
    *part.mutable_dns_resolution_config() = proto.dns_resolution_config();
  }
  if (proto.has_typed_dns_resolver_config()) {
    *part.mutable_typed_dns_resolver_config() = proto.typed_dns_resolver_config();
  }
  *part.mutable_dns_refresh_rate() = proto.dns_refresh_rate();
  *part.mutable_dns_jitter() = proto.dns_jitter();
  part.set_respect_dns_ttl(proto.respect_dns_ttl());
  *part.mutable_dns_failure_refresh_rate() = proto.dns_failure_refresh_rate();
  return contentHash(part);
}

}  // namespace

bool isDnsClusterType(const ProtoCluster::CustomClusterType& proto) {
  return proto.name() == kClusterType || isType<DnsCluster>(proto.typed_config());
}

void decodeDns(const ProtoCluster& proto, Cluster& cluster, FieldErrors& errors) {
  auto dns = std::make_shared<DnsDiscovery>();
  dns->cluster = proto.name();
  if (proto.has_cluster_type()) {
    decodeTyped(proto, *dns, cluster, errors);
  } else {
    decodeLegacy(proto, *dns, cluster, errors);
  }
  dns->refresh.ttlOfFirst = dns->refresh.emptyIsFailure = dns->logical;
  dns->waitForFirst = !proto.has_wait_for_warm_on_init() || proto.wait_for_warm_on_init().value();
  decodeEndpoints(proto, *dns, errors);
  cluster.type = dns->logical ? DiscoveryType::kLogicalDns : DiscoveryType::kStrictDns;
  cluster.edsName = resolvedName(proto.name(), endpointsHash(proto));
  dns->frame.clusterName = proto.name();
  cluster.dns = std::move(dns);
}

}  // namespace sockmesh
