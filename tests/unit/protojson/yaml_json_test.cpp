// SPDX-License-Identifier: Apache-2.0
#include "protojson/yaml_json.h"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/core.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::Metadata;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::service::discovery::v3::DiscoveryRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string json(const std::string& yaml) {
  const auto documents = parseDocuments(yaml);
  if (!documents) return documents.error().message();
  std::string all;
  for (const DocumentPtr& one : *documents) all += (all.empty() ? "" : " ") + toJson(*one);
  return all;
}

// The error of parsing `text` as a Proto. "" if there is none.
template <typename Proto>
std::string errorOf(const std::string& text) {
  Proto proto;
  const Status status = parseYamlOrJson(text, proto);
  return status ? "" : status.error().message();
}

template <typename Proto>
Proto parse(const std::string& text) {
  Proto proto;
  const Status status = parseYamlOrJson(text, proto);
  EXPECT_TRUE(status) << (status ? "" : status.error().message());
  return proto;
}

TEST(YamlToJsonTest, PlainScalarsFollowTheCoreSchema) {
  EXPECT_EQ(json("[yes, no, on, Off, y, true, False, ~, null, Null, nUll]"),
            R"(["yes","no","on","Off","y",true,false,null,null,null,"nUll"])");
  EXPECT_EQ(json("[1, -2, +3, 007, 0x1F, 0o17, 1.5, 1., .5, -1e3, 6E+2]"),
            "[1,-2,3,7,31,15,1.5,1.0,0.5,-1e3,6e2]");
  EXPECT_EQ(json("[.inf, -.INF, .nan, .foo, 1.2.3, 1_000, 0xZZ, 12:30, -, 1e]"),
            R"(["Infinity","-Infinity","NaN",".foo","1.2.3","1_000","0xZZ","12:30","-","1e"])");
  EXPECT_EQ(json("0x10000000000000000"), "line 1: 0x10000000000000000 exceeds 64 bits");
}

TEST(YamlToJsonTest, QuotedScalarsAndTagsDecideTheType) {
  EXPECT_EQ(json(R"(['1', "true", !!str 5, !!int "5", !!float "1", !!null ""])"),
            R"(["1","true","5",5,1,null])");
  EXPECT_EQ(json("a: |\n  1\n  2\n"), R"({"a":"1\n2\n"})");
  EXPECT_EQ(json("a: 1\nb: !!int x"), "line 2: 'x' is no !!int");
  EXPECT_EQ(json("a: !secret x"), "line 1: tag !secret is not supported here");
}

TEST(YamlToJsonTest, EveryDigitOfANumberIsKept) {
  EXPECT_EQ(json("[18446744073709551615, 123456789012345678901234567890, 0.1000000000000000055]"),
            "[18446744073709551615,123456789012345678901234567890,0.1000000000000000055]");
}

TEST(YamlToJsonTest, StringsAreEscaped) {
  EXPECT_EQ(json(R"("a\"b\\c\n\t\x01\u00e4")"), R"("a\"b\\c\n\t\u0001)"
                                                "\u00e4\"");
}

TEST(YamlToJsonTest, AStreamHasDocuments) {
  EXPECT_EQ(json("a: 1\n---\nb: 2\n---\n- 3\n"), R"({"a":1} {"b":2} [3])");
  EXPECT_EQ(json("# nothing\n"), "");
  EXPECT_EQ(json(""), "");
}

TEST(YamlToJsonTest, WhatFollowsADocumentNeedsAMarker) {
  EXPECT_EQ(json("{a: 1}\n...\n{b: 2}\n"), R"({"a":1} {"b":2})");
  EXPECT_EQ(json("%YAML 1.2\n---\na: 1\n"), R"({"a":1})");
  const std::string error = "this does not belong to the document before it";
  EXPECT_EQ(json("{a: 1}\n{b: 2}\n"), "line 2: " + error);
  EXPECT_EQ(json("--- {a: 1}\n--- {b: 2} {c: 3}\n"), "line 2: " + error);
  EXPECT_THAT(json("[]\n...\n]"), StartsWith("line 3: "));
  // yaml-cpp alone would never finish this document.
  const std::string scrambled = R"({"a"}[1!2.5e3\ud83d\ude00",nuel,true],"b":{"c":-0.1}})";
  EXPECT_EQ(json("--- " + scrambled), "line 1: " + error);
  EXPECT_EQ(json(scrambled), "line 1: ':' is expected");
}

TEST(YamlToJsonTest, AnchorsAndAliases) {
  EXPECT_EQ(json("a: &x {p: [1]}\nb: *x\nc: &s text\nd: *s"),
            R"({"a":{"p":[1]},"b":{"p":[1]},"c":"text","d":"text"})");
  EXPECT_EQ(json("a: &x [1, *x]"), "line 1: an alias to a value that contains the alias");
}

TEST(YamlToJsonTest, AliasesCannotExplode) {
  std::string yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    const std::string name = "a" + std::to_string(i);
    yaml += name + ": &" + name + " [" + before;
    for (int j = 0; j < 9; ++j) yaml += ", " + before;
    yaml += "]\n";
  }
  EXPECT_THAT(json(yaml), HasSubstr("aliases add more than 1000000 values"));
}

TEST(YamlToJsonTest, DepthIsLimited) {
  EXPECT_THAT(json(std::string(101, '[') + std::string(101, ']')), HasSubstr("nested more than"));
  EXPECT_THAT(json(std::string(100'000, '[')), StartsWith("line 1: "));
  EXPECT_EQ(json(std::string(90, '[') + std::string(90, ']')),
            std::string(90, '[') + std::string(90, ']'));
}

TEST(YamlToJsonTest, ErrorsHaveTheLine) {
  EXPECT_EQ(json("a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n"),
            "line 5: key 'c' is there already, in line 3");
  EXPECT_THAT(json("a: 1\nb: [1\nc: 2\n"), StartsWith("line 3: "));
  EXPECT_EQ(json("a: 1\n? [x]\n: 2\n"), "line 2: a key is a list or a map");
}

TEST(ParseYamlTest, FillsAMessage) {
  const auto proto = parse<ClusterLoadAssignment>(R"(
cluster_name: a
endpoints:
- locality: {region: r, zone: z}
  lbEndpoints:
  - endpoint:
      address: {socket_address: {address: 10.0.0.1, port_value: 8080}}
    health_status: DRAINING
    load_balancing_weight: 3
policy:
  endpoint_stale_after: 1.5s
named_endpoints:
  x: {hostname: h}
)");
  EXPECT_EQ(proto.cluster_name(), "a");
  const auto& endpoint = proto.endpoints(0).lb_endpoints(0);
  EXPECT_EQ(endpoint.endpoint().address().socket_address().port_value(), 8080U);
  EXPECT_EQ(endpoint.health_status(), envoy::config::core::v3::DRAINING);
  EXPECT_EQ(endpoint.load_balancing_weight().value(), 3U);
  EXPECT_EQ(proto.policy().endpoint_stale_after().nanos(), 500'000'000);
  EXPECT_EQ(proto.named_endpoints().at("x").hostname(), "h");
}

TEST(ParseYamlTest, AnUnknownFieldIsNamedWithItsLineAndPath) {
  EXPECT_EQ(errorOf<ClusterLoadAssignment>("cluster_name: a\nendpoints:\n- lb_endpoint: []\n"),
            "line 3: endpoints[0].lb_endpoint: no such field in "
            "envoy.config.endpoint.v3.LocalityLbEndpoints, did you mean lb_endpoints?");
  EXPECT_EQ(errorOf<ClusterLoadAssignment>("zzz: 1"),
            "line 1: zzz: no such field in envoy.config.endpoint.v3.ClusterLoadAssignment");
}

TEST(ParseYamlTest, EnumsFieldsAndTypesHaveHints) {
  const auto enumOf = [](const std::string& value) {
    return errorOf<Cluster>("lb_policy: " + value);
  };
  EXPECT_THAT(enumOf("round_robin"), HasSubstr("did you mean ROUND_ROBIN?"));
  EXPECT_THAT(enumOf("RoundRobin"), HasSubstr("did you mean ROUND_ROBIN?"));
  EXPECT_THAT(enumOf("least-request"), HasSubstr("did you mean LEAST_REQUEST?"));
  EXPECT_THAT(enumOf("LEAST_CONN"), HasSubstr("did you mean LEAST_REQUEST?"));
  EXPECT_THAT(enumOf("fastest"), HasSubstr(": ROUND_ROBIN, LEAST_REQUEST, "));
  EXPECT_THAT(errorOf<Cluster>("type: strict_dns"), HasSubstr("did you mean STRICT_DNS?"));
  EXPECT_THAT(errorOf<Cluster>("hosts: []"), HasSubstr("endpoints are in load_assignment"));
  EXPECT_THAT(errorOf<Cluster>("<<: {name: a}"), HasSubstr("merge keys are not supported"));
  EXPECT_THAT(errorOf<Cluster>("Connect-Timeout: 1s"), HasSubstr("did you mean connect_timeout?"));
  const auto typeOf = [](const std::string& type) {
    return errorOf<google::protobuf::Any>("'@type': " + type);
  };
  EXPECT_THAT(typeOf("envoy.config.cluster.v3.Cluster"),
              HasSubstr("did you mean type.googleapis.com/envoy.config.cluster.v3.Cluster?"));
  EXPECT_THAT(typeOf("type.googleapis.com/envoy.config.cluster.v3.Clusters"),
              HasSubstr("did you mean envoy.config.cluster.v3.Cluster?"));
  EXPECT_THAT(typeOf("type.googleapis.com/envoy.api.v2.route.Route"),
              HasSubstr("xDS v2 is not spoken, only v3"));
}

TEST(ParseYamlTest, ErrorsDoNotRepeatWholeTexts) {
  const std::string large(1'000'000, 'x');
  for (const std::string& text :
       {"'" + large + "': 1", "name: [" + large + "]", "connect_timeout: " + large,
        "lb_policy: " + large, "{'a" + large + "': 1, 'a" + large + "': 2}"}) {
    const std::string error = errorOf<Cluster>(text);
    EXPECT_NE(error, "");
    EXPECT_LT(error.size(), 1'000U) << error.substr(0, 200);
  }
}

TEST(ParseYamlTest, BrokenJsonIsToldAsJson) {
  EXPECT_THAT(errorOf<Cluster>("{\"name\": \"a\",\n \"type\": \"EDS\""),
              HasSubstr("line 2: ',' or '}' is expected"));
}

TEST(ParseYamlTest, AllErrorsAreReportedEachWithItsPath) {
  const std::string error = errorOf<ClusterLoadAssignment>(R"(cluster_name: 5
endpoints:
- priority: -1
  lb_endpoints:
  - health_status: HEALTY
    endpoint: {address: {socket_address: {port_value: 8o8}}}
  - load_balancing_weight: [1]
- lb_endpoints: 3
policy: {endpoint_stale_after: 10}
)");
  EXPECT_EQ(error,
            "line 1: cluster_name: 5 (a number) is no string, put it in quotes; "
            "line 3: endpoints[0].priority: -1 is out of the range of uint32, 0 to 4294967295; "
            "line 5: endpoints[0].lb_endpoints[0].health_status: 'HEALTY' is none of the values "
            "of envoy.config.core.v3.HealthStatus, did you mean HEALTHY?; "
            "line 6: endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: "
            "'8o8' is no uint32; "
            "line 7: endpoints[0].lb_endpoints[1].load_balancing_weight: a list is no uint32; "
            "line 8: endpoints[1].lb_endpoints: 3 (a number) is not a list; "
            "line 9: policy.endpoint_stale_after: 10 (a number) is no duration, such as \"1.5s\"");
}

TEST(ParseYamlTest, AnyIsFilledByItsType) {
  const auto proto = parse<Listener>(R"(
name: l
filter_chains:
- filters:
  - name: envoy.filters.network.tcp_proxy
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      cluster: c
)");
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
  ASSERT_TRUE(proto.filter_chains(0).filters(0).typed_config().UnpackTo(&proxy));
  EXPECT_EQ(proxy.cluster(), "c");
}

TEST(ParseYamlTest, ErrorsInsideAnAnyHaveTheirPath) {
  const std::string prefix = "filter_chains:\n- filters:\n  - typed_config:\n";
  const std::string path = "filter_chains[0].filters[0].typed_config";
  const std::string type = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  EXPECT_EQ(errorOf<Listener>(prefix + "      '@type': type.googleapis.com/" + type +
                              "\n      clustr: c\n"),
            "line 5: " + path + ".clustr: no such field in " + type + ", did you mean cluster?");
  EXPECT_EQ(errorOf<Listener>(prefix + "      '@type': type.googleapis.com/foo.Bar\n"),
            "line 4: " + path + ".@type: 'foo.Bar' is no message type known here");
  EXPECT_EQ(errorOf<Listener>(prefix + "      '@type': foo.Bar\n"),
            "line 4: " + path +
                ".@type: 'foo.Bar' (a string) does not begin with "
                "type.googleapis.com/");
  EXPECT_EQ(errorOf<Listener>(prefix + "      cluster: c\n"),
            "line 4: " + path + ": needs an @type");
}

TEST(ParseYamlTest, TypesThatNoCodeUsesAreKnownInAnAny) {
  const auto any = parse<google::protobuf::Any>(
      "'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");
  EXPECT_THAT(any.type_url(), HasSubstr("Router"));
}

TEST(ParseYamlTest, TypesWithTheirOwnJsonStandInAnAnysValue) {
  const std::string type = "'@type': type.googleapis.com/google.protobuf.";
  EXPECT_FALSE(parse<google::protobuf::Any>(type + "Duration\nvalue: 2s").value().empty());
  EXPECT_FALSE(parse<google::protobuf::Any>(type + "Struct\nvalue: {a: 1}").value().empty());
  EXPECT_FALSE(parse<google::protobuf::Any>(type + "UInt32Value\nvalue: 7").value().empty());
  EXPECT_EQ(errorOf<google::protobuf::Any>(type + "Duration\nvalue: 2"),
            "line 2: value: 2 (a number) is no duration, such as \"1.5s\"");
  EXPECT_EQ(errorOf<google::protobuf::Any>(type + "Duration"),
            "line 1: needs a value beside the @type google.protobuf.Duration");
  EXPECT_EQ(errorOf<google::protobuf::Any>(type + "Duration\nvalue: 2s\nx: 1"),
            "line 3: x: no such field beside @type and value");
}

TEST(ParseYamlTest, StructsHoldAnything) {
  const auto proto = parse<Metadata>(
      "filter_metadata:\n  envoy.lb: {a: 1, b: [x, null, true], c: {d: '1'}, e: ~}\n");
  const auto& fields = proto.filter_metadata().at("envoy.lb").fields();
  EXPECT_EQ(fields.at("a").number_value(), 1);
  EXPECT_EQ(fields.at("b").list_value().values_size(), 3);
  EXPECT_TRUE(fields.at("b").list_value().values(2).bool_value());
  EXPECT_EQ(fields.at("c").struct_value().fields().at("d").string_value(), "1");
  EXPECT_TRUE(fields.at("e").has_null_value());
  EXPECT_EQ(errorOf<Metadata>("filter_metadata:\n  envoy.lb: [1]\n"),
            "line 2: filter_metadata.envoy.lb: a list is not a map");
}

TEST(ParseYamlTest, NullIsAFieldThatIsNotGivenButNoElement) {
  EXPECT_EQ(
      parse<ClusterLoadAssignment>("cluster_name: ~\nendpoints:\npolicy: null\n").ByteSizeLong(),
      0U);
  EXPECT_EQ(errorOf<ClusterLoadAssignment>("endpoints: [~]"),
            "line 1: endpoints[0]: null is not allowed here");
}

TEST(ParseYamlTest, MembersOfAOneofExcludeEachOther) {
  EXPECT_EQ(errorOf<ClusterLoadAssignment>(
                "endpoints:\n- lb_endpoints:\n  - endpoint_name: a\n    endpoint: {}\n"),
            "line 4: endpoints[0].lb_endpoints[0].endpoint: excludes endpoint_name, which is "
            "given too");
}

TEST(ParseYamlTest, AFieldUnderBothItsNamesIsGivenTwice) {
  EXPECT_EQ(errorOf<ClusterLoadAssignment>("cluster_name: a\nclusterName: a\n"),
            "line 2: clusterName: is there already, as cluster_name");
}

TEST(ParseYamlTest, IntegersMayBeWrittenInSeveralWays) {
  const std::string prefix = "endpoints: [{priority: ";
  for (const char* text : {"7", "'7'", "7.0", "7e0", "0x7", "\"7\""}) {
    EXPECT_EQ(parse<ClusterLoadAssignment>(prefix + text + "}]").endpoints(0).priority(), 7U)
        << text;
  }
  for (const char* text : {"7.5", "'7.0'", "''", "1e30", "-1", "4294967296", "true", "x"}) {
    EXPECT_THAT(errorOf<ClusterLoadAssignment>(prefix + text + "}]"),
                StartsWith("line 1: endpoints[0].priority: "))
        << text;
  }
}

TEST(ParseYamlTest, LargeIntegersKeepTheirValue) {
  const auto any = parse<google::protobuf::Any>(
      "'@type': type.googleapis.com/google.protobuf.UInt64Value\nvalue: 18446744073709551615");
  google::protobuf::UInt64Value value;
  ASSERT_TRUE(any.UnpackTo(&value));
  EXPECT_EQ(value.value(), 18446744073709551615U);
}

TEST(ParseYamlTest, NothingButCommentsIsAMessageWithoutFields) {
  EXPECT_EQ(parse<Cluster>("# nothing\n").ByteSizeLong(), 0U);
  EXPECT_EQ(parse<Cluster>("---\n").ByteSizeLong(), 0U);
  EXPECT_EQ(errorOf<Cluster>("- name: a"),
            "line 1: a list is not a map of envoy.config.cluster.v3.Cluster");
  EXPECT_EQ(errorOf<Cluster>("name: a\n---\nname: b\n"),
            "line 3: a second document, where one is expected");
}

TEST(ParseYamlTest, LinesCountFromTheTextsFirst) {
  EXPECT_THAT(errorOf<Cluster>("\n\n\n   \nnam: a\n"), StartsWith("line 5: nam: "));
  EXPECT_THAT(errorOf<Cluster>("\n\n{\n \"nam\": 1}"), StartsWith("line 4: nam: "));
}

TEST(ParseJsonTest, TakesWhatYamlDoesNot) {
  DiscoveryRequest request;
  ASSERT_TRUE(
      parseJson(R"({"version_info": "\ud83d\ude00\/\u00e4", "resourceNames":	["a"]})", request));
  EXPECT_EQ(request.version_info(), "\U0001F600/\u00e4");
  EXPECT_THAT(request.resource_names(), ElementsAre("a"));
  EXPECT_EQ(parse<DiscoveryRequest>("{\"version_info\": \"\\ud83d\\ude00\"}").version_info(),
            "\U0001F600");
}

TEST(ParseJsonTest, IsStrict) {
  const auto error = [](const std::string& text) {
    DiscoveryRequest request;
    const Status status = parseJson(text, request);
    return status ? "" : status.error().message();
  };
  EXPECT_EQ(error("{\n\"version_info\": \"a\",\n}"), "line 3: a key in double quotes is expected");
  EXPECT_EQ(error("{version_info: a}"), "line 1: a key in double quotes is expected");
  EXPECT_EQ(error("{} x"), "line 1: something follows the JSON value");
  EXPECT_EQ(error("{\"version_info\": \"a"), "line 1: a string without its closing quote");
  EXPECT_EQ(error("{\"version_info\": \"\\ud83d\"}"), "line 1: half a surrogate pair");
  EXPECT_EQ(error("{\"version_info\": \"\\x\"}"), "line 1: an unknown escape");
  EXPECT_EQ(error("{\"version_info\": 01}"), "line 1: ',' or '}' is expected");
  EXPECT_EQ(error("{\"nonce\": 1,\n\"nonce\": 1}"),
            "line 2: key 'nonce' is there already, in line 1");
  EXPECT_EQ(error("{\"response_nonce\": \"a\"\n \"b\"}"), "line 2: ',' or '}' is expected");
  EXPECT_EQ(error(""), "line 1: a JSON value is expected");
}

TEST(ParseJsonTest, GivesBackWhatProtobufPrinted) {
  const auto before = parse<Listener>(R"(
name: l
address: {socket_address: {address: "::1", port_value: 80}}
filter_chains:
- filters:
  - name: f
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      cluster: c
      idle_timeout: 3600s
)");
  std::string printed;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(before, &printed).ok());
  Listener after;
  ASSERT_TRUE(parseJson(printed, after));
  EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString());
}

}  // namespace
}  // namespace sockmesh
