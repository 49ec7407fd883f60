// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent_names.h"
#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr const char* kTable =
    R"(ADDRESS         CLUSTER      LOCALITY    PRIORITY   WEIGHT   HEALTH    SHARE   ACTIVE   SELECTED   ESTABLISHED   FAILED   EJECTED
10.0.0.1:9080   reviews-v1   eu-west/a          0        2   HEALTHY     50%        3         20            18        2   -
10.0.0.2:9080   reviews-v1   eu-west/a          0        1   UNKNOWN     25%        0          5             0        5   for 30s
10.0.0.3:9080   reviews-v2   eu-west/a          0        1   HEALTHY     25%        0          0             0        0   -
)";

constexpr const char* kWide =
    R"(ADDRESS         CLUSTER      LOCALITY    PRIORITY   WEIGHT   HEALTH    SHARE   ACTIVE   SELECTED   ESTABLISHED   FAILED   EJECTED   FAILED-BY             CLOSED-BY   SENT   RECEIVED   RETRANSMITS   CONNECT-P50/P90/P99   RTT-P50/P90/P99
10.0.0.1:9080   reviews-v1   eu-west/a          0        2   HEALTHY     50%        3         20            18        2   -         timed_out=1,local=1   clean=15    2KiB       100B             4   57.6us/908.8us/1ms    -
10.0.0.2:9080   reviews-v1   eu-west/a          0        1   UNKNOWN     25%        0          5             0        5   for 30s   refused=5             -             0B         0B             0   -                     -
10.0.0.3:9080   reviews-v2   eu-west/a          0        1   HEALTHY     25%        0          0             0        0   -         -                     -             0B         0B             0   -                     -
)";

constexpr const char* kEjectedJson = R"({
  "schemaVersion": 1,
  "kind": "EndpointList",
  "items": [
    {
      "id": 2,
      "address": "10.0.0.2",
      "port": 9080,
      "cluster": "reviews-v1",
      "locality": {
        "region": "eu-west",
        "zone": "a",
        "subZone": ""
      },
      "priority": 0,
      "weight": 1,
      "health": "UNKNOWN",
      "shares": [
        {
          "vip": "10.96.0.10:80",
          "protocol": "TCP",
          "percent": 25.0
        }
      ],
      "active": 0,
      "selected": 5,
      "established": 0,
      "failed": 5,
      "failedByReason": {
        "refused": 5,
        "timed_out": 0,
        "unreachable": 0,
        "reset": 0,
        "local": 0,
        "abandoned": 0
      },
      "closedByReason": {
        "clean": 0,
        "reset_by_peer": 0,
        "reset_by_us": 0,
        "timed_out": 0
      },
      "consecutiveFailures": 5,
      "ejected": true,
      "ejectedForSeconds": 30.0,
      "sentBytes": 0,
      "receivedBytes": 0,
      "retransmits": 0,
      "connectSeconds": {
        "count": 0,
        "p50": null,
        "p90": null,
        "p99": null
      },
      "rttSeconds": {
        "count": 0,
        "p50": null,
        "p90": null,
        "p99": null
      }
    }
  ]
}
)";

std::string addresses(const EndpointFilter& filter) {
  const Outcome outcome = endpointList(makeNode(), filter);
  if (const auto* failure = std::get_if<Failure>(&outcome)) return failure->message;
  std::string all;
  for (const Json& item : std::get<Document>(outcome).data["items"]) {
    all += item["address"].get<std::string>() + " ";
  }
  return all;
}

TEST(EndpointList, TableAndWide) {
  EXPECT_EQ(shown(endpointList(makeNode(), {}), Format::kTable), kTable);
  EXPECT_EQ(shown(endpointList(makeNode(), {}), Format::kWide), kWide);
}

TEST(EndpointList, JsonOfAnEjectedEndpoint) {
  EndpointFilter filter;
  filter.ejected = true;
  EXPECT_EQ(shown(endpointList(makeNode(), filter), Format::kJson), kEjectedJson);
}

TEST(EndpointList, NamesWorkloadsWhereTheAgentKnowsThem) {
  NodeView node = makeNode();
  node.names = namesOf(Json::parse(R"({"workloads": [
      {"address": "10.0.0.1", "name": "reviews-1", "namespace": "shop", "node": "n1"}]})"));
  const Outcome outcome = endpointList(node, {"reviews-v1", std::nullopt, false});
  const std::string rows = shown(outcome, Format::kTable);
  EXPECT_NE(rows.find("shop/reviews-1   n1"), std::string::npos) << rows;
  const Json& items = std::get<Document>(outcome).data["items"];
  EXPECT_EQ(items[0]["workload"]["node"], "n1");
  EXPECT_EQ(items[1]["workload"], nullptr);
}

TEST(EndpointList, FiltersByClusterAndByService) {
  EXPECT_EQ(addresses({"reviews-v2", std::nullopt, false}), "10.0.0.3 ");
  const auto reviews = SocketAddress::parse("10.96.0.10:80").value();
  EXPECT_EQ(addresses({"", reviews, false}), "10.0.0.1 10.0.0.2 10.0.0.3 ");
  EXPECT_EQ(addresses({"reviews-v1", reviews, true}), "10.0.0.2 ");
  const auto vault = SocketAddress::parse("10.96.0.11:443").value();
  EXPECT_EQ(addresses({"", vault, false}), "");
}

TEST(EndpointList, AServiceThatIsNotThereIsAFailure) {
  EndpointFilter filter;
  filter.service = SocketAddress::parse("10.96.0.99:80").value();
  EXPECT_EQ(shown(endpointList(makeNode(), filter), Format::kTable),
            "exit 1: no service 10.96.0.99:80");
}

// A second VIP that leads to one of the endpoints alone.
TEST(EndpointList, SharesThatDifferByVipAreARange) {
  NodeView node = makeNode();
  auto group = std::make_shared<LbGroup>();
  group->policy = SM_POLICY_LEAST_REQUEST;
  group->cluster = "reviews-v2";
  group->hosts = {SocketAddress::parse("10.0.0.3:9080").value()};
  auto service = std::make_shared<LbService>();
  service->groups = {group};
  const auto vip = SocketAddress::parse("10.96.0.20:80").value();
  node.image.services[{vip, Protocol::kTcp}].service = service;
  const std::string all =
      shown(endpointList(node, {"reviews-v2", std::nullopt, false}), Format::kTable, false);
  EXPECT_NE(all.find(" 25%..100% "), std::string::npos) << all;
  const std::string one = shown(endpointList(node, {"", vip, false}), Format::kTable, false);
  EXPECT_NE(one.find(" 100% "), std::string::npos) << one;
}

TEST(EndpointList, AnEjectionThatIsOverIsNone) {
  NodeView node = makeNode();
  node.live.nowNs += 31'000'000'000;
  EndpointFilter filter;
  filter.ejected = true;
  const Outcome outcome = endpointList(node, filter);
  EXPECT_TRUE(std::get<Document>(outcome).data["items"].empty());
}

}  // namespace
}  // namespace sockmesh::ctl::test
