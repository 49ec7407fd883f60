// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "decode/listener_parts.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using Proto = envoy::config::listener::v3::Listener;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kTypes = "type.googleapis.com/envoy.extensions.filters.network.";

Result<std::shared_ptr<const DecodedListener>> decode(const std::string& text) {
  return decodeListener(parseText<Proto>(text));
}

// The part with the listener's name. No routes have come.
ListenerPart ownPartOf(const std::string& text) {
  const auto result = decode(text);
  EXPECT_TRUE(result.ok()) << errorOf(result);
  if (!result.ok()) return {};
  const auto parts = partsOf(**result, [](const std::string&) { return nullptr; });
  for (const ListenerPart& part : parts) {
    if (part.name == (*result)->name) return part;
  }
  ADD_FAILURE() << "no part has the listener's name";
  return {};
}

Listener vipOf(const std::string& text) {
  const ListenerPart part = ownPartOf(text);
  EXPECT_NE(part.vips, nullptr) << part.leftAlone->reason;
  return part.vips != nullptr ? *part.vips : Listener{};
}

std::string whyLeftAlone(const std::string& text) {
  const ListenerPart part = ownPartOf(text);
  EXPECT_EQ(part.vips, nullptr);
  return part.leftAlone->reason;
}

std::string socketAddress(const std::string& ip, int port) {
  return "address { socket_address { address: '" + ip + "' port_value: " + std::to_string(port) +
         " } } ";
}

std::string filter(const std::string& name, const std::string& type, const std::string& fields) {
  return "filters { name: '" + name + "' typed_config { [" + kTypes + type + "] { " + fields +
         " } } } ";
}

std::string tcpProxy(const std::string& fields) {
  return filter("tcp", "tcp_proxy.v3.TcpProxy", "stat_prefix: 's' " + fields);
}

// A filter of an unknown type.
std::string otherFilter(const std::string& name) {
  return "filters { name: '" + name + "' typed_config { type_url: 'a/b.C' value: 'z' } } ";
}

const std::string kHttp = filter("http", "http_connection_manager.v3.HttpConnectionManager",
                                 "stat_prefix: 's' rds { route_config_name: 'r' config_source { "
                                 "ads {} } }");

std::string chain(const std::string& match, const std::string& filters) {
  return "filter_chains { filter_chain_match { " + match + " } " + filters + "} ";
}

std::string defaultChain(const std::string& filters) {
  return "default_filter_chain { " + filters + " } ";
}

// A VIP, 10.96.0.1:80, with these chains.
std::string vip(const std::string& chains) {
  return "name: 'l' " + socketAddress("10.96.0.1", 80) + "traffic_direction: OUTBOUND " + chains;
}

std::string toCluster(const std::string& name) {
  return tcpProxy("cluster: '" + name + "'");
}

// A UDP listener on port 53 with this udp_proxy.
std::string udp(const std::string& fields, const std::string& ip = "10.96.0.10") {
  return "name: 'l' address { socket_address { protocol: UDP address: '" + ip +
         "' port_value: 53 } } listener_filters { name: 'udp' typed_config { "
         "[type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig] { " +
         fields + " } } } ";
}

std::vector<std::string> clustersOf(const Listener& listener) {
  std::vector<std::string> names;
  for (const WeightedCluster& leg : listener.route.clusters) names.push_back(leg.name);
  return names;
}

std::vector<std::string> addressesOf(const Listener& listener) {
  std::vector<std::string> texts;
  for (const Vip& address : listener.addresses) texts.push_back(address.toString());
  return texts;
}

TEST(DecodeListener, ATcpProxyMakesAVip) {
  const Listener listener = vipOf(vip(chain("", toCluster("c"))));
  EXPECT_EQ(listener.name, "l");
  EXPECT_EQ(listener.protocol, Protocol::kTcp);
  EXPECT_THAT(addressesOf(listener), ElementsAre("10.96.0.1:80"));
  EXPECT_THAT(clustersOf(listener), ElementsAre("c"));
  EXPECT_FALSE(listener.route.hashSourceIp);
  EXPECT_THAT(listener.notHonoured, IsEmpty());
}

TEST(DecodeListener, AUdpProxyMakesAVip) {
  const Listener listener =
      vipOf(udp("stat_prefix: 's' cluster: 'c' hash_policies { source_ip: true }") +
            "additional_addresses { address { socket_address { protocol: UDP address: 'fd00::a' "
            "port_value: 53 } } }");
  EXPECT_EQ(listener.protocol, Protocol::kUdp);
  EXPECT_THAT(addressesOf(listener), ElementsAre("10.96.0.10:53", "[fd00::a]:53"));
  EXPECT_THAT(clustersOf(listener), ElementsAre("c"));
  EXPECT_TRUE(listener.route.hashSourceIp);
  EXPECT_THAT(listener.notHonoured, IsEmpty());
}

TEST(DecodeListener, WhatAUdpProxyAsksForWithoutEffectIsListed) {
  EXPECT_THAT(vipOf(udp("stat_prefix: 's' cluster: 'c' idle_timeout { seconds: 5 } "
                        "use_per_packet_load_balancing: true hash_policies { key: 'k' }"))
                  .notHonoured,
              ElementsAre(HasSubstr("hash_policies.key"), HasSubstr("idle_timeout"),
                          HasSubstr("use_per_packet_load_balancing")));
}

TEST(DecodeListener, AUdpProxyThatIsWrongIsRefused) {
  const auto errorOfUdp = [](const std::string& fields) { return errorOf(decode(udp(fields))); };
  const std::string at = "listener_filters[0].typed_config.";
  EXPECT_THAT(errorOfUdp("cluster: 'c'"), HasSubstr(at + "stat_prefix"));
  EXPECT_THAT(errorOfUdp("stat_prefix: 's'"), HasSubstr(at + "route_specifier"));
  EXPECT_THAT(errorOfUdp("stat_prefix: 's' cluster: ''"), HasSubstr(at + "cluster"));
  EXPECT_THAT(errorOfUdp("stat_prefix: 's' cluster: 'c' hash_policies {}"),
              HasSubstr(at + "hash_policies[0]"));
}

TEST(DecodeListener, ADirectionThatIsNotGivenIsNoObstacle) {
  EXPECT_THAT(addressesOf(vipOf("name: 'l' " + socketAddress("2001:db8::1", 80) +
                                chain("", toCluster("c")))),
              ElementsAre("[2001:db8::1]:80"));
}

TEST(DecodeListener, AdditionalAddressesAreVipsToo) {
  const Listener listener = vipOf(vip("additional_addresses { " + socketAddress("fd00::1", 80) +
                                      "} additional_addresses { " + socketAddress("0.0.0.0", 80) +
                                      "} " + chain("", toCluster("c"))));
  EXPECT_THAT(addressesOf(listener), ElementsAre("10.96.0.1:80", "[fd00::1]:80"));
  EXPECT_THAT(listener.notHonoured, ElementsAre(HasSubstr("wildcard address 0.0.0.0:80")));
}

TEST(DecodeListener, SplitsTrafficByWeight) {
  const Listener listener = vipOf(
      vip(chain("", tcpProxy("weighted_clusters { clusters { name: 'a' weight: 80 } clusters {"
                             " name: 'b' weight: 20 } } hash_policy { source_ip {} }"))));
  ASSERT_THAT(clustersOf(listener), ElementsAre("a", "b"));
  EXPECT_EQ(listener.route.clusters[0].weight, 80U);
  EXPECT_EQ(listener.route.clusters[1].weight, 20U);
  EXPECT_TRUE(listener.route.hashSourceIp);
}

std::string metadataMatch(const std::string& fields) {
  return "metadata_match { filter_metadata { key: 'envoy.lb' value { " + fields + " } } } ";
}

std::string field(const std::string& key, const std::string& value) {
  return "fields { key: '" + key + "' value { string_value: '" + value + "' } } ";
}

TEST(DecodeListener, TheLegsMetadataWinsKeyByKey) {
  const Listener listener =
      vipOf(vip(chain("", tcpProxy("weighted_clusters { clusters { name: 'a' weight: 1 " +
                                   metadataMatch(field("version", "leg")) + "} } " +
                                   metadataMatch(field("version", "all") + field("stage", "x"))))));
  const MetadataStruct& match = listener.route.clusters.at(0).metadataMatch;
  EXPECT_EQ(match.size(), 2U);
  EXPECT_EQ(match.at("version"), MetadataValue{std::string("leg")});
  EXPECT_EQ(match.at("stage"), MetadataValue{std::string("x")});
}

TEST(DecodeListener, ListsWhatAConnectCannotHonour) {
  const Listener listener =
      vipOf(vip(chain("", tcpProxy("cluster: 'c' idle_timeout { seconds: 60 }"
                                   " max_downstream_connection_duration { seconds: 3600 }"
                                   " max_connect_attempts { value: 3 }"
                                   " hash_policy { filter_state { key: 'k' } }"))));
  EXPECT_THAT(listener.notHonoured,
              ElementsAre(HasSubstr("hash_policy.filter_state"), HasSubstr("idle_timeout"),
                          HasSubstr("max_downstream_connection_duration"),
                          HasSubstr("max_connect_attempts")));
}

TEST(DecodeListener, PassesOverFiltersThatOnlyWatch) {
  EXPECT_THAT(clustersOf(vipOf(vip(chain("", otherFilter("istio.metadata_exchange") +
                                                 otherFilter("istio.stats") + toCluster("c"))))),
              ElementsAre("c"));
}

TEST(DecodeListener, DoesNotPassOverFiltersThatDecide) {
  for (const std::string name :
       {"envoy.filters.network.rbac", "envoy.filters.network.ext_authz",
        "envoy.filters.network.ratelimit", "envoy.filters.network.local_ratelimit",
        "envoy.filters.network.connection_limit"}) {
    EXPECT_THAT(whyLeftAlone(vip(chain("", otherFilter(name) + toCluster("c")))), HasSubstr(name));
  }
  // The type counts as well as the name, also inside a TypedStruct.
  EXPECT_THAT(
      whyLeftAlone(vip(chain(
          "",
          "filters { name: 'mine' typed_config { [type.googleapis.com/udpa.type.v1.TypedStruct]"
          " { type_url: 'a/envoy.extensions.filters.network.rbac.v3.RBAC' } } } " +
              toCluster("c")))),
      HasSubstr("mine"));
}

TEST(DecodeListener, IstiosAutoPortIsTheDefaultChain) {
  // HTTP is sniffed by ALPN, everything else goes to the cluster.
  EXPECT_THAT(clustersOf(vipOf(vip(chain("transport_protocol: 'raw_buffer' application_protocols:"
                                         " 'http/1.1' application_protocols: 'h2c'",
                                         kHttp) +
                                   defaultChain(toCluster("c"))))),
              ElementsAre("c"));
}

class ChoosesChain : public testing::TestWithParam<Case> {};

TEST_P(ChoosesChain, AsEnvoyDoes) {
  EXPECT_THAT(clustersOf(vipOf(vip(GetParam().text + defaultChain(toCluster("default"))))),
              ElementsAre(GetParam().expected));
}

std::string prefix(const std::string& address, int length) {
  return "prefix_ranges { address_prefix: '" + address +
         "' prefix_len { value: " + std::to_string(length) + " } } ";
}

INSTANTIATE_TEST_SUITE_P(
    DecodeListener, ChoosesChain,
    testing::Values(
        Case{"ExactPort",
             chain("", toCluster("any")) +
                 chain("destination_port { value: 80 }", toCluster("port")),
             "port"},
        Case{"OtherPort",
             chain("", toCluster("any")) +
                 chain("destination_port { value: 81 }", toCluster("port")),
             "any"},
        // A named port that yields no chain does not fall back to the chains without a port.
        Case{"NoWayBackFromThePort",
             chain("", toCluster("any")) +
                 chain("destination_port { value: 80 } server_names: 'a.example'",
                       toCluster("port")),
             "default"},
        Case{"LongestPrefix",
             chain(prefix("10.0.0.0", 8), toCluster("8")) +
                 chain(prefix("10.96.0.1", 32), toCluster("32")) +
                 chain(prefix("10.96.0.0", 16), toCluster("16")),
             "32"},
        Case{"NoWayBackFromThePrefix",
             chain(prefix("10.0.0.0", 8), toCluster("8")) +
                 chain(prefix("10.96.0.0", 16) + "application_protocols: 'h2'", toCluster("16")),
             "default"},
        Case{"HostBitsAreMasked", chain(prefix("10.96.0.99", 16), toCluster("16")), "16"},
        Case{"PrefixLengthUnsetIs0",
             chain("prefix_ranges { address_prefix: '192.0.2.1' }", toCluster("0")), "0"},
        Case{"OtherPrefix", chain(prefix("10.97.0.0", 16), toCluster("16")), "default"},
        Case{"OtherFamily", chain(prefix("::", 0), toCluster("v6")), "default"},
        Case{"NoSni", chain("server_names: 'a.example'", toCluster("sni")), "default"},
        Case{"RawBuffer",
             chain("", toCluster("any")) +
                 chain("transport_protocol: 'raw_buffer'", toCluster("raw")),
             "raw"},
        Case{"NotTls", chain("transport_protocol: 'tls'", toCluster("tls")), "default"},
        Case{"NoAlpn",
             chain("application_protocols: 'h2'", toCluster("h2")) + chain("", toCluster("any")),
             "any"}),
    [](const auto& param) { return param.param.what; });

class LeavesAlone : public testing::TestWithParam<Case> {};

TEST_P(LeavesAlone, SayingWhy) {
  EXPECT_THAT(whyLeftAlone(GetParam().text), HasSubstr(GetParam().expected));
}

const std::string kToC = chain("", toCluster("c"));

INSTANTIATE_TEST_SUITE_P(
    DecodeListener, LeavesAlone,
    testing::Values(
        Case{"Wildcard", "name: 'l' " + socketAddress("0.0.0.0", 80) + kToC,
             "wildcard address 0.0.0.0:80"},
        Case{"Wildcard6", "name: 'l' " + socketAddress("::", 80) + kToC,
             "wildcard address [::]:80"},
        Case{"Port0", "name: 'l' " + socketAddress("10.0.0.1", 0) + kToC, "no port"},
        Case{"Inbound",
             "name: 'l' traffic_direction: INBOUND " + socketAddress("10.0.0.1", 80) + kToC,
             "INBOUND"},
        Case{"Internal", "name: 'l' internal_listener {} " + kToC, "internal listener"},
        Case{"Api", "name: 'l' api_listener {}", "api_listener"},
        Case{"Pipe", "name: 'l' address { pipe { path: '/run/x' } } " + kToC, "pipe /run/x"},
        Case{"Udp",
             "name: 'l' address { socket_address { protocol: UDP address: '10.0.0.1'"
             " port_value: 53 } }",
             "UDP without udp_proxy"},
        Case{"UdpMatcher", udp("stat_prefix: 's' matcher {}"), "udp_proxy routes by a matcher"},
        Case{"UdpWildcard", udp("stat_prefix: 's' cluster: 'c'", "0.0.0.0"),
             "wildcard address 0.0.0.0:53"},
        Case{"UdpSessionFilters", udp("stat_prefix: 's' cluster: 'c' session_filters {}"),
             "session_filters"},
        Case{"Quic",
             udp("stat_prefix: 's' cluster: 'c'") + "udp_listener_config { quic_options {} }",
             "terminates QUIC"},
        Case{"UseOriginalDst", vip("use_original_dst { value: true } " + kToC), "use_original_dst"},
        Case{"Matcher", vip("filter_chain_matcher {} " + kToC), "filter_chain_matcher"},
        Case{"Http", vip(chain("", kHttp)), "waits for route configuration r"},
        Case{"OtherFilter", vip(chain("", otherFilter("redis"))), "ends with filter redis"},
        Case{"NoFilters", vip(chain("", "")), "filter chain without filters"},
        Case{"NoChainMatches", vip(chain("server_names: 'a.example'", toCluster("c"))),
             "no filter chain matches a plain TCP connection to 10.96.0.1:80"},
        Case{"Tunnel", vip(chain("", tcpProxy("cluster: 'c' tunneling_config { hostname: 'h' }"))),
             "tunneling_config"},
        Case{"SourceRange",
             vip(chain("source_prefix_ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 }"
                       " }",
                       toCluster("c")) +
                 defaultChain(toCluster("d"))),
             "filter_chains[0] depends on the source"},
        Case{"SourcePort", vip(chain("source_ports: 5000", toCluster("c")) + kToC),
             "filter_chains[0] depends on the source"},
        Case{"SourceType", vip(chain("source_type: EXTERNAL", toCluster("c"))),
             "filter_chains[0] depends on the source"},
        Case{"DirectSource",
             vip(chain("direct_source_prefix_ranges { address_prefix: '10.0.0.0' }",
                       toCluster("c"))),
             "filter_chains[0] depends on the source"},
        Case{"DownstreamTls",
             vip("filter_chains { " + toCluster("c") +
                 "transport_socket { name: 'tls' typed_config { type_url: 'a/b.Tls' } } }"),
             "terminates TLS"},
        Case{"ProxyProtocol",
             vip("filter_chains { " + toCluster("c") + "use_proxy_proto { value: true } }"),
             "PROXY protocol"}),
    [](const auto& param) { return param.param.what; });

TEST(DecodeListener, CollectsEveryErrorWithItsPath) {
  const auto result = decode("address { socket_address { address: 'x' port_value: 70000 } } " +
                             chain("destination_port { value: 0 } address_suffix: 'a'",
                                   tcpProxy("weighted_clusters { clusters { weight: 0 } }")) +
                             chain("server_names: 'a*.example'", tcpProxy("")));
  EXPECT_EQ(errorOf(result),
            "name: must not be empty; "
            "address.socket_address.address: 'x' is not an IP address; "
            "address.socket_address.port_value: 70000 is not a port; "
            "filter_chains[0].filter_chain_match.destination_port: 0 is less than 1; "
            "filter_chains[0].filter_chain_match.address_suffix: is not implemented; "
            "filter_chains[1].filter_chain_match.server_names[0]: 'a*.example': only a leading "
            "\"*.\" is a wildcard; "
            "filter_chains[0].filters[0].typed_config.weighted_clusters.clusters[0].name: must not "
            "be empty; "
            "filter_chains[0].filters[0].typed_config.weighted_clusters.clusters[0].weight: 0 is "
            "less than 1; "
            "filter_chains[1].filters[0].typed_config.cluster_specifier: needs a cluster or "
            "weighted_clusters");
}

class RejectsListener : public testing::TestWithParam<Case> {};

TEST_P(RejectsListener, NamingTheField) {
  EXPECT_THAT(errorOf(decode(GetParam().text)), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    DecodeListener, RejectsListener,
    testing::Values(
        Case{"NoAddress", "name: 'l' " + kToC, "address: needs a socket_address"},
        Case{"InternalWithAddress", vip("internal_listener {} " + kToC),
             "address: is not allowed in an internal listener"},
        Case{"NoChains", vip(""), "filter_chains: must not be empty"},
        Case{"IdenticalMatches", vip(kToC + kToC),
             "filter_chains[1].filter_chain_match: matches the same connections as "
             "filter_chains[0]"},
        Case{"OverlappingMatches",
             vip(chain("server_names: 'a' server_names: 'b'", toCluster("c")) +
                 chain("server_names: 'B'", toCluster("c"))),
             "filter_chains[1].filter_chain_match: matches the same connections as "
             "filter_chains[0]"},
        Case{"OverlapOfTheThird",
             vip(chain(prefix("10.0.0.0", 8), toCluster("c")) +
                 chain(prefix("10.1.0.0", 16) + prefix("10.2.0.0", 16), toCluster("c")) +
                 chain(prefix("10.2.9.9", 16), toCluster("c"))),
             "filter_chains[2].filter_chain_match: matches the same connections as "
             "filter_chains[1]"},
        Case{"SuffixLength", vip(chain("suffix_len { value: 3 }", toCluster("c"))),
             "filter_chain_match.suffix_len: is not implemented"},
        Case{"PrefixAddress", vip(chain(prefix("x", 8), toCluster("c"))),
             "filter_chain_match.prefix_ranges[0].address_prefix: 'x' is not an IP address"},
        Case{"PrefixLength", vip(chain(prefix("::", 129), toCluster("c"))),
             "filter_chain_match.prefix_ranges[0].prefix_len: 129 is more than 128"},
        Case{"SourcePort", vip(chain("source_ports: 0", toCluster("c"))),
             "filter_chain_match.source_ports[0]: 0 is not a port"},
        Case{"TerminalNotLast", vip(chain("", toCluster("c") + otherFilter("x"))),
             "filter_chains[0].filters[0]: 'tcp' is terminal"},
        Case{"UnreadableTcpProxy",
             vip(chain("", "filters { name: 'tcp' typed_config { type_url: '" + kTypes +
                               "tcp_proxy.v3.TcpProxy' value: 'zz' } }")),
             "filter_chains[0].filters[0].typed_config: cannot be read as envoy.extensions"},
        Case{"StatPrefix", vip(chain("", filter("tcp", "tcp_proxy.v3.TcpProxy", "cluster: 'c'"))),
             "filter_chains[0].filters[0].typed_config.stat_prefix: must not be empty"},
        Case{"TwoHashPolicies",
             vip(chain("", tcpProxy("cluster: 'c' hash_policy { source_ip {} } hash_policy {"
                                    " source_ip {} }"))),
             "typed_config.hash_policy: only one"},
        Case{"ConnectAttempts", vip(chain("", tcpProxy("cluster: 'c' max_connect_attempts {}"))),
             "typed_config.max_connect_attempts: 0 is less than 1"},
        Case{"DefaultChainToo", vip(kToC + defaultChain(tcpProxy(""))),
             "default_filter_chain.filters[0].typed_config.cluster_specifier: "},
        Case{"InboundToo",
             "name: 'l' traffic_direction: INBOUND " + socketAddress("10.0.0.1", 80) +
                 (chain("", tcpProxy(""))),
             "filter_chains[0].filters[0].typed_config.cluster_specifier: "},
        Case{"MixedProtocols",
             vip("additional_addresses { address { socket_address { protocol: UDP address:"
                 " '10.0.0.2' port_value: 80 } } } " +
                 kToC),
             "additional_addresses[0].address.socket_address.protocol: differs"}),
    [](const auto& param) { return param.param.what; });

}  // namespace
}  // namespace sockmesh
