// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using Proto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::HasSubstr;

Result<std::shared_ptr<const LoadAssignment>> decode(const std::string& text) {
  return decodeAssignment(parseText<Proto>(text));
}

std::string endpointText(const std::string& ip, int port, const std::string& more = "") {
  return "lb_endpoints { endpoint { address { socket_address { address: '" + ip +
         "' port_value: " + std::to_string(port) + " } } } " + more + " } ";
}

// An assignment with one locality, which holds `text`.
std::string assignmentText(const std::string& text) {
  return "cluster_name: 'c' endpoints { " + text + " }";
}

SocketAddress address(const std::string& text) {
  const auto parsed = SocketAddress::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : SocketAddress{};
}

TEST(DecodeAssignment, FillsInEnvoysDefaults) {
  const auto decoded = decode(assignmentText(endpointText("10.0.0.1", 80)));
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  const LoadAssignment& assignment = **decoded;
  EXPECT_EQ(assignment.clusterName, "c");
  EXPECT_EQ(assignment.overprovisioningFactor, 140U);
  EXPECT_FALSE(assignment.weightedPriorityHealth);
  EXPECT_FALSE(assignment.endpointStaleAfter.has_value());
  ASSERT_EQ(assignment.localities.size(), 1U);
  const LocalityEndpoints& group = assignment.localities[0];
  EXPECT_TRUE(group.locality.empty());
  EXPECT_EQ(group.priority, 0U);
  EXPECT_EQ(group.weight, 0U);
  ASSERT_EQ(group.endpoints.size(), 1U);
  EXPECT_EQ(group.endpoints[0].address, address("10.0.0.1:80"));
  EXPECT_EQ(group.endpoints[0].weight, 1U);
  EXPECT_EQ(group.endpoints[0].health, EdsHealth::kUnknown);
}

TEST(DecodeAssignment, ReadsEveryFieldOfALocality) {
  const auto decoded = decode(
      "cluster_name: 'c' endpoints { locality { region: 'r' zone: 'z' sub_zone: 's' } priority: 2"
      " load_balancing_weight { value: 7 }" +
      endpointText("2001:db8::1", 443,
                   "load_balancing_weight { value: 3 } health_status: DRAINING metadata {"
                   " filter_metadata { key: 'envoy.lb' value { fields { key: 'version' value {"
                   " string_value: 'v1' } } } } }") +
      "} policy { overprovisioning_factor { value: 100 } endpoint_stale_after { seconds: 5 }"
      " weighted_priority_health: true }");
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  const LocalityEndpoints& group = (*decoded)->localities.at(0);
  EXPECT_EQ(group.locality->toString(), "r/z/s");
  EXPECT_EQ(group.priority, 2U);
  EXPECT_EQ(group.weight, 7U);
  const Endpoint& one = group.endpoints.at(0);
  EXPECT_EQ(one.address.toString(), "[2001:db8::1]:443");
  EXPECT_EQ(one.weight, 3U);
  EXPECT_EQ(one.health, EdsHealth::kDraining);
  EXPECT_EQ(one.lbMetadata->at("version"), MetadataValue{std::string("v1")});
  EXPECT_EQ((*decoded)->overprovisioningFactor, 100U);
  EXPECT_EQ((*decoded)->endpointStaleAfter, Nanos(std::chrono::seconds(5)));
  EXPECT_TRUE((*decoded)->weightedPriorityHealth);
}

TEST(DecodeAssignment, TakesAnUnrecognisedHealthForUnknown) {
  auto proto = parseText<Proto>(assignmentText(endpointText("10.0.0.1", 80)));
  auto* one = proto.mutable_endpoints(0)->mutable_lb_endpoints(0);
  one->set_health_status(static_cast<envoy::config::core::v3::HealthStatus>(77));
  const auto decoded = decodeAssignment(proto);
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  EXPECT_EQ((*decoded)->localities[0].endpoints[0].health, EdsHealth::kUnknown);
}

TEST(DecodeAssignment, AnEmptyAssignmentIsValid) {
  const auto decoded = decode("cluster_name: 'c'");
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  EXPECT_TRUE((*decoded)->localities.empty());
}

TEST(DecodeAssignment, TheFirstOfTwoEqualAddressesWins) {
  const auto decoded = decode("cluster_name: 'c' endpoints {" +
                              endpointText("10.0.0.1", 80, "load_balancing_weight { value: 2 }") +
                              endpointText("10.0.0.1", 80, "load_balancing_weight { value: 9 }") +
                              "} endpoints { priority: 1 " + endpointText("10.0.0.1", 80) +
                              endpointText("10.0.0.1", 81) + "}");
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  ASSERT_EQ((*decoded)->localities[0].endpoints.size(), 1U);
  EXPECT_EQ((*decoded)->localities[0].endpoints[0].weight, 2U);
  ASSERT_EQ((*decoded)->localities[1].endpoints.size(), 1U);
  EXPECT_EQ((*decoded)->localities[1].endpoints[0].address, address("10.0.0.1:81"));
}

TEST(DecodeAssignment, ALocalityGivenTwiceInAPriorityIsOne) {
  const std::string locality = "locality { region: 'r' } load_balancing_weight { value: ";
  const auto decoded =
      decode("cluster_name: 'c' endpoints { " + locality + "1 } " + endpointText("10.0.0.1", 80) +
             "} endpoints { " + locality + "5 } " + endpointText("10.0.0.2", 80) +
             "} endpoints { priority: 1 " + locality + "8 } " + endpointText("10.0.0.3", 80) + "}");
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  ASSERT_EQ((*decoded)->localities.size(), 2U);
  EXPECT_EQ((*decoded)->localities[0].endpoints.size(), 2U);
  EXPECT_EQ((*decoded)->localities[0].weight, 5U);
  EXPECT_EQ((*decoded)->localities[1].weight, 8U);
}

TEST(DecodeAssignment, FollowsIstiosTunnelToTheAddressBehindIt) {
  const auto decoded = decode(assignmentText(
      "lb_endpoints { endpoint { address { envoy_internal_address { server_listener_name:"
      " 'connect_originate' endpoint_id: '10.0.0.1:8080' } } } }"));
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  EXPECT_EQ((*decoded)->localities[0].endpoints[0].address, address("10.0.0.1:8080"));
}

TEST(DecodeAssignment, CollectsEveryErrorWithItsPath) {
  const auto decoded =
      decode("cluster_name: 'c' endpoints {" + endpointText("a.example", 80) +
             "} endpoints { priority: 129 " + endpointText("10.0.0.1", 80) +
             endpointText("10.0.0.2", 70000) + "} policy { overprovisioning_factor {} }");
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(
      errorOf(decoded),
      "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: 'a.example' is not an "
      "IP address; endpoints[1].priority: 129 is more than 128; "
      "endpoints[1].lb_endpoints[1].endpoint.address.socket_address.port_value: 70000 is not a "
      "port; policy.overprovisioning_factor: 0 is less than 1");
}

std::string more(const std::string& ip) {
  return "additional_addresses { address { socket_address { address: '" + ip +
         "' port_value: 81 } } } ";
}

TEST(DecodeAssignment, KeepsTheFirstAdditionalAddressOfTheOtherFamily) {
  const auto decoded =
      decode(assignmentText("lb_endpoints { endpoint { address { socket_address { address: "
                            "'10.0.0.1' port_value: 80 } } " +
                            more("10.0.0.2") + more("::ffff:10.0.0.3") + more("fd00::1") +
                            more("fd00::2") + " } } " + endpointText("10.0.0.9", 80)));
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  const auto& endpoints = (*decoded)->localities[0].endpoints;
  EXPECT_EQ(endpoints[0].address, address("10.0.0.1:80"));
  EXPECT_EQ(endpoints[0].otherAddress, address("[fd00::1]:81"));
  EXPECT_EQ(endpoints[1].otherAddress, std::nullopt);
}

TEST(DecodeAssignment, TakesAddressesThatNobodyReachesAsEnvoyDoesAndNamesThem) {
  const auto decoded =
      decode(assignmentText(endpointText("0.0.0.0", 80) + endpointText("10.0.0.1", 80) +
                            endpointText("ff02::1", 80) + endpointText("10.0.0.1", 0)));
  ASSERT_TRUE(decoded.ok()) << errorOf(decoded);
  EXPECT_EQ((*decoded)->localities[0].endpoints.size(), 4U);
  EXPECT_EQ((*decoded)->unreachable,
            (std::vector<std::string>{
                "0.0.0.0:80: no host's address: the kernel connects the client to itself",
                "[ff02::1]:80: a multicast address", "10.0.0.1:0: port 0"}));
}

class RejectsAssignment : public testing::TestWithParam<Case> {};

TEST_P(RejectsAssignment, NamingTheField) {
  const auto decoded = decode(GetParam().text);
  ASSERT_FALSE(decoded.ok());
  EXPECT_THAT(errorOf(decoded), HasSubstr(GetParam().expected));
}

std::string endpointAddress(const std::string& text) {
  return assignmentText("lb_endpoints { endpoint { address { " + text + " } } }");
}

const std::string kEndpoint = "endpoints[0].lb_endpoints[0].";

INSTANTIATE_TEST_SUITE_P(
    DecodeAssignment, RejectsAssignment,
    testing::Values(
        Case{"NoName", "", "cluster_name: must not be empty"},
        Case{"EndpointWeight0",
             assignmentText(endpointText("10.0.0.1", 80, "load_balancing_weight {}")),
             kEndpoint + "load_balancing_weight: 0 is less than 1"},
        Case{"LocalityWeight0", assignmentText("load_balancing_weight {}"),
             "endpoints[0].load_balancing_weight: 0 is less than 1"},
        Case{"Port65536", assignmentText(endpointText("10.0.0.1", 65536)),
             kEndpoint + "endpoint.address.socket_address.port_value: 65536 is not a port"},
        Case{"NamedPort",
             endpointAddress("socket_address { address: '10.0.0.1' named_port: 'http' }"),
             kEndpoint + "endpoint.address.socket_address.named_port: "},
        Case{"NoPort", endpointAddress("socket_address { address: '10.0.0.1' }"),
             kEndpoint + "endpoint.address.socket_address.port_value: is required"},
        Case{"Pipe", endpointAddress("pipe { path: '/run/x' }"),
             kEndpoint + "endpoint.address.pipe: "},
        Case{"NoAddress", assignmentText("lb_endpoints { endpoint {} }"),
             kEndpoint + "endpoint.address: needs a socket_address"},
        Case{"NoEndpoint", assignmentText("lb_endpoints {}"), kEndpoint + "endpoint: is required"},
        Case{"EndpointByName", assignmentText("lb_endpoints { endpoint_name: 'x' }"),
             kEndpoint + "endpoint_name: named endpoints are not supported"},
        Case{"OtherInternalAddress",
             endpointAddress("envoy_internal_address { server_listener_name: 'internal' }"),
             kEndpoint + "endpoint.address.envoy_internal_address.endpoint_id: "},
        Case{"Leds", assignmentText("leds_cluster_locality_config {}"),
             "endpoints[0].leds_cluster_locality_config: "},
        Case{"StaleAfter0", "cluster_name: 'c' policy { endpoint_stale_after {} }",
             "policy.endpoint_stale_after: must be more than 0s"},
        Case{"TwoDrops",
             "cluster_name: 'c' policy { drop_overloads { category: 'a' } drop_overloads {"
             " category: 'b' } }",
             "policy.drop_overloads: only one"},
        Case{"DropOfMoreThanAll",
             "cluster_name: 'c' policy { drop_overloads { category: 'a' drop_percentage {"
             " numerator: 101 } } }",
             "policy.drop_overloads[0].drop_percentage: is more than the whole"},
        Case{"LocalityWeightSum",
             "cluster_name: 'c' endpoints { locality { region: 'a' } load_balancing_weight {"
             " value: 4294967295 } } endpoints { locality { region: 'b' }"
             " load_balancing_weight { value: 1 } }",
             "endpoints: the sum of the weights of all localities of priority 0"},
        Case{"EndpointWeightSum",
             assignmentText(endpointText("10.0.0.1", 80,
                                         "load_balancing_weight { value: 4294967295 }") +
                            endpointText("10.0.0.2", 80)),
             "endpoints[0].lb_endpoints: the sum of their weights"}),
    [](const auto& param) { return param.param.what; });

TEST(ContentHash, FollowsTheContentAndNotTheOrderOfMaps) {
  using Metadata = envoy::config::core::v3::Metadata;
  Metadata forwards;
  Metadata backwards;
  for (int i = 0; i < 20; ++i) {
    (*forwards.mutable_filter_metadata())[std::to_string(i)];
    (*backwards.mutable_filter_metadata())[std::to_string(19 - i)];
  }
  EXPECT_EQ(contentHash(forwards), contentHash(backwards));
  (*forwards.mutable_filter_metadata())["more"];
  EXPECT_NE(contentHash(forwards), contentHash(backwards));
}

}  // namespace
}  // namespace sockmesh
