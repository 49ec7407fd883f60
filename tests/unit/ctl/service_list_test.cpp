// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent_names.h"
#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr const char* kTable =
    R"(VIP              PROTOCOL   SERVICE      STATE                  POLICY                      CLUSTERS                         ENDPOINTS
10.96.0.10:80    TCP        reviews:80   Balanced               ROUND_ROBIN,LEAST_REQUEST   reviews-v1 75%, reviews-v2 25%           3
10.96.0.11:443   TCP        vault        LeftAlone(Tls)         -                           vault-cluster                            0
[fd00::1]:80     TCP        ratings      Refused(NoEndpoints)   -                           ratings-cluster                          0
)";

constexpr const char* kWide =
    R"(VIP              PROTOCOL   SERVICE      STATE                  POLICY                      CLUSTERS                         ENDPOINTS   NOTES
10.96.0.10:80    TCP        reviews:80   Balanced               ROUND_ROBIN,LEAST_REQUEST   reviews-v1 75%, reviews-v2 25%           3   -
10.96.0.11:443   TCP        vault        LeftAlone(Tls)         -                           vault-cluster                            0   -
[fd00::1]:80     TCP        ratings      Refused(NoEndpoints)   -                           ratings-cluster                          0   NeedsLayer7,AutomaticTls
)";

constexpr const char* kJson = R"({
  "schemaVersion": 1,
  "kind": "ServiceList",
  "items": [
    {
      "vip": "10.96.0.11",
      "port": 443,
      "protocol": "TCP",
      "service": "vault",
      "state": "LeftAlone",
      "reasons": [
        {
          "name": "Tls",
          "meaning": "the cluster asks for TLS, which a connect() cannot originate"
        }
      ],
      "policies": [],
      "clusters": [
        {
          "name": "vault-cluster",
          "percent": 100.0
        }
      ],
      "endpoints": 0,
      "hashSourceIp": false,
      "affinitySeconds": 0,
      "notes": []
    }
  ]
}
)";

constexpr const char* kYaml = R"(schemaVersion: 1
kind: ServiceList
items:
- vip: "10.96.0.11"
  port: 443
  protocol: TCP
  service: vault
  state: LeftAlone
  reasons:
  - name: Tls
    meaning: "the cluster asks for TLS, which a connect() cannot originate"
  policies: []
  clusters:
  - name: vault-cluster
    percent: 100.0
  endpoints: 0
  hashSourceIp: false
  affinitySeconds: 0
  notes: []
)";

TEST(ServiceList, TableAndWide) {
  EXPECT_EQ(shown(serviceList(makeNode(), {}), Format::kTable), kTable);
  EXPECT_EQ(shown(serviceList(makeNode(), {}), Format::kWide), kWide);
}

TEST(ServiceList, JsonAndYamlSayTheSame) {
  const ServiceFilter vault{std::nullopt, 443, ""};
  EXPECT_EQ(shown(serviceList(makeNode(), vault), Format::kJson), kJson);
  EXPECT_EQ(shown(serviceList(makeNode(), vault), Format::kYaml), kYaml);
}

TEST(ServiceList, FiltersNarrowEachOther) {
  const auto names = [](const ServiceFilter& filter) {
    std::string all;
    const Outcome outcome = serviceList(makeNode(), filter);
    for (const Json& item : std::get<Document>(outcome).data["items"]) {
      all += item["service"].get<std::string>() + " ";
    }
    return all;
  };
  EXPECT_EQ(names({std::nullopt, 80, ""}), "reviews:80 ratings ");
  EXPECT_EQ(names({IpAddress::parse("fd00::1").value(), 80, ""}), "ratings ");
  EXPECT_EQ(names({std::nullopt, 80, "rev"}), "reviews:80 ");
  EXPECT_EQ(names({std::nullopt, std::nullopt, "nothing"}), "");
}

TEST(ServiceList, WithoutHeadersOnlyRowsAreLeft) {
  const std::string rows = shown(serviceList(makeNode(), {}), Format::kTable, false);
  EXPECT_TRUE(rows.starts_with("10.96.0.10:80 ")) << rows;
}

TEST(ServiceList, NotesOfHostNamesThatDoNotResolve) {
  NodeView node = makeNode();
  node.names = namesOf(Json::parse(R"({"hosts": [
      {"name": "a.example", "clusters": ["reviews-v1"], "addresses": ["10.0.0.1"],
       "problem": "no answer", "stale": false},
      {"name": "b.example", "clusters": ["reviews-v2"], "addresses": ["10.0.0.3"], "problem": "",
       "stale": true},
      {"name": "c.example", "clusters": ["reviews-v2"], "addresses": ["10.0.0.3"], "problem": "",
       "stale": false}]})"));
  const Outcome outcome = serviceList(node, {std::nullopt, 80, ""});
  const std::string notes = std::get<Document>(outcome).data["items"][0]["notes"].dump();
  EXPECT_NE(notes.find("UnresolvedName(a.example)"), std::string::npos) << notes;
  EXPECT_NE(notes.find("cluster reviews-v1: no answer; its last 1 addresses stay"),
            std::string::npos)
      << notes;
  EXPECT_NE(notes.find("StaleName(b.example)"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("c.example"), std::string::npos) << notes;
}

TEST(ServiceGet, NamesTheWorkloadsOfItsEndpoints) {
  NodeView node = makeNode();
  node.names = namesOf(Json::parse(R"({"workloads": [
      {"address": "10.0.0.1", "name": "reviews-1", "namespace": "shop", "node": "n1"}]})"));
  const Outcome outcome = serviceGet(node, SocketAddress::parse("10.96.0.10:80").value());
  const Json& workloads = std::get<Document>(outcome).data["items"][0]["workloads"];
  ASSERT_EQ(workloads.size(), 1u);
  EXPECT_EQ(workloads[0]["address"], "10.0.0.1");
  EXPECT_EQ(workloads[0]["namespace"], "shop");
  EXPECT_NE(shown(outcome, Format::kJson), "") << "and its schema knows them";
}

TEST(ServiceGet, IsOneServiceOrNamesThePortsThatThereAre) {
  const auto get = [](const std::string& vip) {
    return serviceGet(makeNode(), SocketAddress::parse(vip).value());
  };
  const Outcome found = get("10.96.0.10:80");
  const auto& document = std::get<Document>(found);
  EXPECT_EQ(document.kind, "Service");
  EXPECT_EQ(document.data["items"].size(), 1u);
  EXPECT_EQ(document.data["items"][0]["service"], "reviews:80");
  EXPECT_EQ(shown(get("10.96.0.10:81"), Format::kTable),
            "exit 1: no service 10.96.0.10:81; this address has the ports 80");
  EXPECT_EQ(shown(get("10.9.9.9:81"), Format::kTable), "exit 1: no service 10.9.9.9:81");
}

}  // namespace
}  // namespace sockmesh::ctl::test
