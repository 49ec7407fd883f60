// SPDX-License-Identifier: Apache-2.0
// Clusters whose endpoints are host names, as the control plane writes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "decode/dns_names.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using Proto = envoy::config::cluster::v3::Cluster;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

std::string endpoint(const std::string& address, const std::string& more = "") {
  return "lb_endpoints { endpoint { address { socket_address { address: '" + address +
         "' port_value: 80 } } } " + more + " } ";
}

std::string dnsCluster(const std::string& fields, const std::string& endpoints) {
  return "name: 'c' " + fields + " load_assignment { cluster_name: 'x' endpoints { " + endpoints +
         "} }";
}

Cluster decoded(const std::string& text) {
  const auto result = decodeCluster(parseText<Proto>(text));
  EXPECT_TRUE(result.ok()) << errorOf(result);
  return result.ok() ? **result : Cluster{};
}

std::string problem(const std::string& text) {
  return errorOf(decodeCluster(parseText<Proto>(text)));
}

const std::string kStrict = "type: STRICT_DNS ";
const std::string kTyped =
    "cluster_type { name: 'envoy.clusters.dns' typed_config { "
    "[type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster] { ";

TEST(DecodeDns, EachEndpointIsATargetWithEnvoysDefaults) {
  const Cluster cluster = decoded(dnsCluster(
      kStrict, endpoint("a.example", "load_balancing_weight { value: 3 } health_status: DRAINING") +
                   endpoint("10.0.0.1")));
  EXPECT_EQ(cluster.type, DiscoveryType::kStrictDns);
  EXPECT_EQ(cluster.leaveAlone, LeftAloneReason::kNone);
  EXPECT_TRUE(isResolvedName(*cluster.edsName));
  ASSERT_NE(cluster.dns, nullptr);
  const DnsDiscovery& dns = *cluster.dns;
  EXPECT_FALSE(dns.logical);
  EXPECT_EQ(dns.family, DnsFamily::kAuto);
  EXPECT_EQ(dns.refresh.rate, seconds(5));
  EXPECT_EQ(dns.refresh.jitter, Nanos(0));
  EXPECT_FALSE(dns.refresh.respectTtl);
  EXPECT_FALSE(dns.refresh.failureRate);
  EXPECT_TRUE(dns.waitForFirst);
  EXPECT_TRUE(dns.settings == DnsResolverSettings{});
  ASSERT_EQ(dns.targets.size(), 2U);
  EXPECT_EQ(dns.targets[0].name, "a.example");
  EXPECT_EQ(dns.targets[0].port, 80);
  EXPECT_EQ(dns.targets[0].pattern.weight, 3U);
  EXPECT_EQ(dns.targets[0].pattern.health, EdsHealth::kDraining);
  EXPECT_EQ(*dns.targets[0].pattern.hostname, "a.example");
  EXPECT_TRUE(dns.targets[1].literal);
}

TEST(DecodeDns, ReadsTheLegacyFields) {
  const Cluster cluster = decoded(dnsCluster(
      kStrict +
          "dns_refresh_rate { seconds: 60 } respect_dns_ttl: true dns_jitter { seconds: 2 } "
          "dns_failure_refresh_rate { base_interval { seconds: 1 } } dns_lookup_family: V4_ONLY "
          "wait_for_warm_on_init {} use_tcp_for_dns_lookups: true dns_resolvers { socket_address { "
          "address: '10.0.0.53' port_value: 5353 } } ",
      endpoint("a.example")));
  const DnsDiscovery& dns = *cluster.dns;
  EXPECT_EQ(dns.refresh.rate, seconds(60));
  EXPECT_TRUE(dns.refresh.respectTtl);
  EXPECT_EQ(dns.refresh.jitter, seconds(2));
  EXPECT_EQ(dns.refresh.failureRate, (DnsFailureRate{seconds(1), seconds(10)}));
  EXPECT_EQ(dns.family, DnsFamily::kV4Only);
  EXPECT_FALSE(dns.waitForFirst);
  EXPECT_TRUE(dns.settings.tcp);
  ASSERT_EQ(dns.settings.servers.size(), 1U);
  EXPECT_EQ(dns.settings.servers[0].toString(), "10.0.0.53:5353");
}

TEST(DecodeDns, ALogicalClusterHasOneEndpointOfPriorityZero) {
  const Cluster cluster =
      decoded(dnsCluster("type: LOGICAL_DNS ", "priority: 3 " + endpoint("a.example")));
  EXPECT_EQ(cluster.type, DiscoveryType::kLogicalDns);
  EXPECT_TRUE(cluster.dns->logical);
  EXPECT_TRUE(cluster.dns->refresh.ttlOfFirst);
  EXPECT_TRUE(cluster.dns->refresh.emptyIsFailure);
  EXPECT_EQ(cluster.dns->frame.localities[0].priority, 0U);
}

TEST(DecodeDns, ReadsTheTypedCluster) {
  const Cluster cluster = decoded(dnsCluster(
      kTyped +
          "all_addresses_in_single_endpoint: true dns_refresh_rate { seconds: 9 } "
          "dns_lookup_family: V4_PREFERRED typed_dns_resolver_config { name: 'cares' typed_config "
          "{ [type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3."
          "CaresDnsResolverConfig] { resolvers { socket_address { address: '10.0.0.53' port_value: "
          "0 } } use_resolvers_as_fallback: true query_timeout_seconds { value: 2 } query_tries { "
          "value: 1 } dns_resolver_options { no_default_search_domain: true } } } } } } }",
      endpoint("a.example")));
  EXPECT_EQ(cluster.type, DiscoveryType::kLogicalDns);
  EXPECT_EQ(cluster.dns->refresh.rate, seconds(9));
  EXPECT_EQ(cluster.dns->family, DnsFamily::kV4Preferred) << "this enum has other numbers";
  const DnsResolverSettings& settings = cluster.dns->settings;
  ASSERT_EQ(settings.servers.size(), 1U);
  EXPECT_EQ(settings.servers[0].toString(), "10.0.0.53:53");
  EXPECT_TRUE(settings.serversAreFallback);
  EXPECT_FALSE(settings.search);
  EXPECT_EQ(settings.timeoutSeconds, 2U);
  EXPECT_EQ(settings.tries, 1U);
}

TEST(DecodeDns, AnotherResolverIsListed) {
  const Cluster cluster = decoded(dnsCluster(
      kStrict + "typed_dns_resolver_config { name: 'x' typed_config { type_url: 'x/other.Dns' } } ",
      endpoint("a.example")));
  EXPECT_THAT(cluster.notHonoured, ElementsAre(HasSubstr("typed_dns_resolver_config: other.Dns")));
}

TEST(DecodeDns, OnlyWhatDecidesTheEndpointsChangesTheirName) {
  const auto nameOf = [](const std::string& fields, const std::string& host) {
    return decoded(dnsCluster(kStrict + fields, endpoint(host))).edsName;
  };
  EXPECT_EQ(nameOf("", "a.example"), nameOf("connect_timeout { seconds: 9 } ", "a.example"));
  EXPECT_NE(nameOf("", "a.example"), nameOf("", "b.example"));
  EXPECT_NE(nameOf("", "a.example"), nameOf("dns_lookup_family: ALL ", "a.example"));
}

TEST(DecodeDns, RefusesWhatEnvoyRefuses) {
  const std::string a = endpoint("a.example");
  EXPECT_THAT(problem(dnsCluster(kStrict + "dns_refresh_rate { nanos: 999999 } ", a)),
              HasSubstr("dns_refresh_rate: must be at least 1ms"));
  EXPECT_THAT(problem(dnsCluster(kStrict + "dns_failure_refresh_rate {} ", a)),
              HasSubstr("dns_failure_refresh_rate.base_interval: is required"));
  EXPECT_THAT(
      problem(dnsCluster(kStrict + "dns_failure_refresh_rate { base_interval { seconds: 3 } "
                                   "max_interval { seconds: 2 } } ",
                         a)),
      HasSubstr("dns_failure_refresh_rate.max_interval: is less than base_interval"));
  EXPECT_THAT(problem(dnsCluster(kStrict + "dns_jitter { seconds: -1 } ", a)),
              HasSubstr("dns_jitter: must not be negative"));
  EXPECT_THAT(problem(dnsCluster(kStrict + "dns_resolvers { pipe { path: '/x' } } ", a)),
              HasSubstr("dns_resolvers[0]: needs a socket_address"));
  EXPECT_THAT(problem(dnsCluster(kStrict, endpoint(""))),
              HasSubstr("lb_endpoints[0].endpoint.address.socket_address.address: must not be"));
  EXPECT_THAT(problem(dnsCluster("type: LOGICAL_DNS ", a + a)),
              HasSubstr("load_assignment.endpoints: logical DNS needs exactly one"));
  EXPECT_THAT(problem("name: 'c' type: EDS eds_cluster_config { eds_config { ads {} } "
                      "service_name: 'x by DNS 1' }"),
              HasSubstr("must not contain \" by DNS \""));
}

}  // namespace
}  // namespace sockmesh
