// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>

#include "agent_fixture.h"
#include "lb/hash.h"
#include "maps/codec.h"
#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

SocketAddress at(const std::string& text) {
  return SocketAddress::parse(text).value();
}

std::string explained(const NodeView& node, const AgentReport& agent, const std::string& vip,
                      Format format = Format::kTable, const std::string& source = "") {
  ExplainQuery query{.vip = at(vip)};
  if (!source.empty()) query.source = IpAddress::parse(source).value();
  return shown(explain(node, agent, noRoutes(), query), format);
}

Json explainedJson(const NodeView& node, const std::string& vip, const std::string& source = "") {
  return Json::parse(explained(node, deadAgent(), vip, Format::kJson, source), nullptr, false);
}

constexpr const char* kReviewsDead =
    R"(A connect() to 10.96.0.10:80 is rewritten to one of 3 endpoints
Service: reviews:80 (id 1), TCP
Agent: not reachable at 127.0.0.1:15077 (Connection refused); this is what the kernel does without it

Groups, and their share of new connections:
  GROUP   SHARE   POLICY          CLUSTER      PRIORITY   LOCALITY   HOSTS   NOTES
  0         75%   ROUND_ROBIN     reviews-v1          0   -              2   -
  1         25%   LEAST_REQUEST   reviews-v2          0   -              1   -

Endpoints, and their share of new connections (least request: while all are equally busy):
  ADDRESS         CLUSTER      PRIORITY   LOCALITY    WEIGHT   SHARE   ACTIVE   HEALTH    EJECTED
  10.0.0.1:9080   reviews-v1          0   eu-west/a        2     50%        3   HEALTHY   -
  10.0.0.2:9080   reviews-v1          0   eu-west/a        1     25%        0   UNKNOWN   for 30s
  10.0.0.3:9080   reviews-v2          0   eu-west/a        1     25%        0   HEALTHY   -
)";

TEST(Explain, ASplitServiceWithTheAgentDead) {
  EXPECT_EQ(explained(makeNode(), deadAgent(), "10.96.0.10:80"), kReviewsDead);
}

TEST(Explain, OneClientsOwnEjectionsOnDemand) {
  NodeView node = makeNode();
  ClientRun run;
  run.client = SM_CLIENT_IS_POD | 4711;
  run.endpointId = 1;
  run.run.ejected_until_ns = node.live.nowNs + 20'000'000'000;
  node.live.runs.push_back(run);
  const auto asked = [&](const std::string& client) {
    const ExplainQuery query{.vip = at("10.96.0.10:80"), .client = client};
    return shown(explain(node, deadAgent(), noRoutes(), query), Format::kTable);
  };
  EXPECT_EQ(asked(""), kReviewsDead);
  EXPECT_EQ(asked("pod:4712"), kReviewsDead);
  EXPECT_NE(asked("pod:4711").find("HEALTHY   for 20s, by this client\n"), std::string::npos)
      << asked("pod:4711");
}

TEST(Explain, PodsThatAreLeftAloneAreAnException) {
  NodeView node = makeNode();
  addPodWithSidecar(node);
  const std::string text = explained(node, deadAgent(), "10.96.0.10:80");
  EXPECT_NE(text.find("\nExcept: 1 pod of this node is left alone (sockmeshctl status)\n"),
            std::string::npos)
      << text;
}

TEST(Explain, TheAgentAddsWhatIsNotHonouredOfThisService) {
  const std::string text = explained(makeNode(), liveAgent(), "10.96.0.10:80");
  EXPECT_NE(text.find("Not honoured: health_checks: endpoints are not checked actively (cluster "
                      "reviews-v1)\nNot honoured: on_demand: clusters are not asked for by name "
                      "(listener reviews:80)\n\nGroups"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("other"), std::string::npos) << "not of other clusters";
}

TEST(Explain, RefusedAndLeftAloneSayWhyInWords) {
  const std::string refused = explained(makeNode(), liveAgent(), "[fd00::1]:80");
  for (const char* line :
       {"A connect() to [fd00::1]:80 is refused with ECONNREFUSED: the cluster has no endpoints\n",
        "Needs layer 7: hash policy: header x-user (cluster ratings-cluster); connections are "
        "balanced without it\n",
        "Automatic TLS: a sidecar would speak TLS", "Endpoints: none\n"}) {
    EXPECT_NE(refused.find(line), std::string::npos) << line << refused;
  }
  const std::string alone = explained(makeNode(), deadAgent(), "10.96.0.11:443");
  EXPECT_TRUE(
      alone.starts_with("A connect() to 10.96.0.11:443 is left alone and goes where it was "
                        "going: the cluster asks for TLS, which a connect() cannot "
                        "originate\n"))
      << alone;
}

TEST(Explain, WithoutTheAgentTheReasonForLayer7IsGeneral) {
  EXPECT_EQ(explainedJson(makeNode(), "[fd00::1]:80")["needsLayer7"],
            Json({{"needed", true},
                  {"reasons",
                   {"a route or a hash policy needs a request: its path, a header or the like"}}}));
}

TEST(Explain, AnUnknownPortNamesTheOthersOfTheAddress) {
  EXPECT_EQ(explained(makeNode(), deadAgent(), "10.96.0.11:80"),
            R"(A connect() to 10.96.0.11:80 is not touched: there is no service 10.96.0.11:80

Services at other ports of 10.96.0.11:
  VIP              PROTOCOL   SERVICE   STATE
  10.96.0.11:443   TCP        vault     LeftAlone
)");
  const Json json = explainedJson(makeNode(), "10.96.0.11:80");
  EXPECT_EQ(json["kind"], "Explanation");
  EXPECT_EQ(json["state"], "NoService");
  EXPECT_EQ(json["vip"], "10.96.0.11");
  EXPECT_EQ(json["port"], 80);
  EXPECT_TRUE(json["service"].is_null());
  EXPECT_EQ(json["otherPorts"], Json::parse(R"([{"port": 443, "protocol": "TCP",
                                                 "service": "vault", "state": "LeftAlone"}])"));
}

TEST(Explain, AnUnknownAddressSaysSoAndEndsWithOne) {
  EXPECT_EQ(explained(makeNode(), deadAgent(), "10.1.2.3:80"),
            "A connect() to 10.1.2.3:80 is not touched: there is no service 10.1.2.3:80\n"
            "No service has the address 10.1.2.3\n");
  const Outcome outcome =
      explain(makeNode(), deadAgent(), noRoutes(), {at("10.1.2.3:80"), std::nullopt});
  EXPECT_EQ(std::get<Document>(outcome).exitCode, kExitFailure);
}

TEST(Explain, AnEndpointsOwnAddressIsNamedAsSuch) {
  const std::string text = explained(makeNode(), deadAgent(), "10.0.0.1:9080");
  EXPECT_NE(text.find("It is an endpoint of reviews-v1: a connection goes to it directly"),
            std::string::npos)
      << text;
  EXPECT_EQ(explainedJson(makeNode(), "10.0.0.1:9080")["endpointOf"], Json({"reviews-v1"}));
}

TEST(Explain, BrokenTablesAreNotNoService) {
  NodeView node = makeNode();
  node.image.broken = {"10.96.0.99:80: groups[0]: no table"};
  node.image.brokenFrontends = {{at("10.96.0.99:80"), Protocol::kTcp}};
  EXPECT_EQ(explained(node, deadAgent(), "10.96.0.99:80"),
            "exit 65: the tables of 10.96.0.99:80 are broken, a connect() that meets the break is "
            "left alone: 10.96.0.99:80: groups[0]: no table");
}

TEST(Explain, JsonHasTheKindTheFlagsAndTheNumbers) {
  const Json json = explainedJson(makeNode(), "10.96.0.10:80");
  EXPECT_EQ(json["kind"], "Explanation");
  EXPECT_EQ(json["schemaVersion"], 1);
  EXPECT_EQ(json["service"], "reviews:80");
  EXPECT_EQ(json["state"], "Balanced");
  EXPECT_EQ(json["groups"][0]["percent"], 75.0);
  EXPECT_EQ(json["groups"][1]["choiceCount"], 0);
  EXPECT_EQ(json["endpoints"][1]["percent"], 25.0);
  EXPECT_EQ(json["endpoints"][1]["ejectedForSeconds"], 30.0);
  EXPECT_EQ(json["agent"]["reachable"], false);
  EXPECT_TRUE(json["notHonoured"].is_null()) << "not known";
  EXPECT_TRUE(json["source"].is_null());
}

TEST(Explain, AnEndpointThatNobodyReachesIsListed) {
  NodeView node = makeNode();
  ImageEndpoint sick = node.image.endpoints[1];
  sick.id = 4;
  sick.endpoint.address = at("10.0.0.4:9080");
  sick.endpoint.health = EdsHealth::kUnhealthy;
  node.image.endpoints[4] = sick;
  const Json endpoint = explainedJson(node, "10.96.0.10:80")["endpoints"][2];
  EXPECT_EQ(endpoint["address"], "10.0.0.4");
  EXPECT_EQ(endpoint["health"], "UNHEALTHY");
  EXPECT_EQ(endpoint["percent"], 0.0);
}

// Sockets that reach IPv4 alone: half of their connections meet a leg without an IPv4 endpoint.
NodeView withIpv4Only() {
  NodeView node = makeNode();
  ImageService& image = node.image.services.begin()->second;
  auto service = std::make_shared<LbService>(*image.service);
  auto only = std::make_shared<LbService>(*image.service);
  auto refusing = std::make_shared<LbGroup>(*only->groups[1]);
  refusing->policy = SM_POLICY_REFUSE;
  refusing->reason = SM_REASON_NO_REACHABLE;
  refusing->hosts.clear();
  only->groups[1] = refusing;
  service->ipv4Only = only;
  image.service = service;
  return node;
}

TEST(Explain, WarnsWhereTheHookIsNotAttached) {
  NodeView node = makeNode();
  node.attachments[0].problem = "not pinned";
  EXPECT_EQ(explainedJson(node, "10.96.0.10:80")["warnings"],
            Json({"sm_connect4 is not attached (not pinned): connect() is not touched"}));
}

TEST(Explain, SaysWhatBecomesOfSocketsOfOneAddressFamily) {
  const Json sockets = explainedJson(withIpv4Only(), "10.96.0.10:80")["sockets"];
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0]["sockets"], "IPv4");
  EXPECT_EQ(sockets[0]["verdict"],
            "is in 75% of cases rewritten to one of 2 endpoints; in 25% of cases refused with "
            "EAFNOSUPPORT: no endpoint has an address of the socket's family");
  EXPECT_EQ(explainedJson(makeNode(), "10.96.0.10:80")["sockets"], Json::array());
}

TEST(Explain, NamesTheWorkloadsOfItsEndpoints) {
  NodeView node = makeNode();
  node.names = namesOf(Json::parse(R"({"workloads": [
      {"address": "10.0.0.2", "name": "reviews-2", "namespace": "shop", "node": "n1"}]})"));
  const std::string text = explained(node, deadAgent(), "10.96.0.10:80");
  EXPECT_NE(text.find("EJECTED   WORKLOAD         NODE\n"), std::string::npos) << text;
  EXPECT_NE(text.find("for 30s   shop/reviews-2   n1\n"), std::string::npos) << text;
  const Json endpoints = explainedJson(node, "10.96.0.10:80")["endpoints"];
  EXPECT_EQ(endpoints[0]["workload"], nullptr);
  EXPECT_EQ(endpoints[1]["workload"],
            Json({{"name", "reviews-2"}, {"namespace", "shop"}, {"node", "n1"}}));
  EXPECT_FALSE(explainedJson(makeNode(), "10.96.0.10:80")["endpoints"][0].contains("workload"))
      << "no workload is known";
}

TEST(Explain, NamesAnEndpointThatCannotBeReached) {
  NodeView node = makeNode();
  node.image.endpoints[3].endpoint.address = at("224.0.0.1:9080");
  const std::string text =
      "endpoint 224.0.0.1:9080 of cluster reviews-v2 cannot be reached: a multicast address";
  EXPECT_EQ(explainedJson(node, "10.96.0.10:80")["warnings"], Json({text}));
  const std::string listed = shown(serviceList(node, {}), Format::kWide);
  EXPECT_NE(listed.find("UnreachableEndpoint(224.0.0.1:9080)"), std::string::npos) << listed;
  const std::string status = shown(ctl::status(node, deadAgent()), Format::kTable);
  EXPECT_NE(status.find("Endpoints that cannot be reached, and are used all the same: 1\n"
                        "  224.0.0.1:9080   reviews-v2   a multicast address\n"),
            std::string::npos)
      << status;
}

TEST(Explain, ServiceListAndStatusSayWhichSocketsHaveNoEndpoint) {
  const NodeView node = withIpv4Only();
  const std::string listed = shown(serviceList(node, {}), Format::kWide);
  EXPECT_NE(listed.find("NoEndpointForIpv4Sockets"), std::string::npos) << listed;
  const std::string status = shown(ctl::status(node, deadAgent()), Format::kTable);
  EXPECT_NE(status.find("no endpoint for 25% of the connections of IPv4 sockets"),
            std::string::npos)
      << status;
}

// ---- groups in all their kinds ----

TEST(Explain, PanicDegradedAndPartsThatAreRefused) {
  NodeView node = makeNode();
  ImageService& image = node.image.services.begin()->second;
  auto service = std::make_shared<LbService>(*image.service);
  auto panic = std::make_shared<LbGroup>(*service->groups[0]);
  panic->flags = SM_GROUP_PANIC | SM_GROUP_DEGRADED;
  panic->priority = 1;
  panic->locality = Locality{"eu-west", "b", ""};
  auto refusing = std::make_shared<LbGroup>(*service->groups[1]);
  refusing->policy = SM_POLICY_REFUSE;
  refusing->reason = SM_REASON_NO_HEALTHY;
  refusing->hosts.clear();
  service->groups = {panic, refusing};
  image.service = service;
  const std::string text = explained(node, deadAgent(), "10.96.0.10:80");
  for (const char* line :
       {"A connect() to 10.96.0.10:80 is in 75% of cases rewritten to one of 2 endpoints; in 25% "
        "of "
        "cases refused with ECONNREFUSED: the cluster has endpoints, but none that its policy may "
        "use\n",
        "1   eu-west/b       2   panic: all hosts, whatever their health; degraded hosts\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  const Json groups = explainedJson(node, "10.96.0.10:80")["groups"];
  EXPECT_EQ(groups[0]["panic"], true);
  EXPECT_EQ(groups[0]["degraded"], true);
  EXPECT_EQ(groups[1]["reason"], "NoHealthyEndpoints");
}

// ---- --source ----

// 75% to a Maglev table of which only the slot of `source` leads to the second host.
NodeView hashing(const std::string& source, std::uint32_t flags) {
  NodeView node = makeNode();
  ImageService& image = node.image.services.begin()->second;
  auto service = std::make_shared<LbService>(*image.service);
  service->flags = flags;
  auto maglev = std::make_shared<LbGroup>(*service->groups[0]);
  maglev->policy = SM_POLICY_MAGLEV;
  auto table = std::make_shared<CellTable>();
  table->size = 251;
  table->cells.resize((table->size + 3) / 4);
  const auto slot = xxHash64(source) % table->size;
  table->cells[slot / 4].words[slot % 4] = 1;
  maglev->table = table;
  service->groups[0] = maglev;
  image.service = service;
  return node;
}

TEST(Explain, ASourceGetsItsEndpointInEachLegOfTheSplit) {
  const NodeView node = hashing("10.244.0.7", SM_DESCRIPTOR_HASH_SOURCE);
  const Json source = explainedJson(node, "10.96.0.10:80", "10.244.0.7")["source"];
  EXPECT_EQ(source["matters"], true);
  ASSERT_EQ(source["choices"].size(), 2U);
  EXPECT_EQ(source["choices"][0]["percent"], 75.0);
  EXPECT_EQ(source["choices"][0]["address"], "10.0.0.2");
  EXPECT_EQ(source["choices"][0]["ejected"], true);
  EXPECT_TRUE(source["choices"][1]["address"].is_null()) << "least request does not hash";
  const std::string text =
      explained(node, deadAgent(), "10.96.0.10:80", Format::kTable, "10.1.1.1");
  EXPECT_NE(text.find("Hash: of the client's address\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  10.0.0.1:9080     75%   reviews-v1   MAGLEV          -\n"
                      "  any of 1          25%   reviews-v2   LEAST_REQUEST   -\n"),
            std::string::npos)
      << text;
}

TEST(Explain, StaleServicesAreAWarning) {
  NodeView node = makeNode();
  node.live.staleFromNs = 1;
  node.live.nowNs = 2'000'000'001;
  const std::string text = explained(node, deadAgent(), "10.96.0.10:80", Format::kTable);
  EXPECT_NE(text.find("Warning: all services are left alone: for 2s, because the control plane was "
                      "not heard within ads.stale_after"),
            std::string::npos)
      << text;
}

TEST(Explain, WhereNothingHashesTheAddressASourceDoesNotMatter) {
  const std::string text = explained(hashing("10.244.0.7", 0), deadAgent(), "10.96.0.10:80",
                                     Format::kTable, "10.244.0.7");
  EXPECT_NE(text.find("Hash: random, no hash policy names the client's address\n"),
            std::string::npos);
  EXPECT_NE(text.find("A client of 10.244.0.7 gets what all get"), std::string::npos) << text;
}

constexpr const char* kSampled = R"(Sampled: 8 connects from here, without a packet:
  LEADS TO               PICKS   PICKED   SHARE
  10.0.0.1:9080              5    62.5%     50%
  10.0.0.2:9080              0       0%     25%
  10.0.0.3:9080              1    12.5%     25%
  10.9.9.9:80                1    12.5%      0%
  (Connection refused)       1    12.5%       -
)";

TEST(Explain, SamplesStandBesideTheShares) {
  std::vector<SilentConnect> picks(5, {at("10.0.0.1:9080"), 0});
  picks.push_back({at("10.0.0.3:9080"), 0});
  picks.push_back({at("10.9.9.9:80"), 0});
  picks.push_back({std::nullopt, ECONNREFUSED});
  const ExplainQuery query{.vip = at("10.96.0.10:80"), .samples = Samples(picks)};
  const Outcome outcome = explain(makeNode(), deadAgent(), noRoutes(), query);
  const std::string text = shown(outcome, Format::kTable);
  EXPECT_TRUE(text.ends_with(kSampled)) << text;
  const Json samples = std::get<Document>(outcome).data["samples"];
  EXPECT_EQ(samples["count"], 8);
  EXPECT_EQ(samples["picks"][0]["count"], 5);
  EXPECT_EQ(samples["failures"][0]["problem"], "Connection refused");
}

TEST(Explain, SamplesThatCannotBeHadSayWhy) {
  const ExplainQuery query{.vip = at("10.96.0.10:80"), .samples = Samples(Error("no fast open"))};
  const std::string text =
      shown(explain(makeNode(), deadAgent(), noRoutes(), query), Format::kTable);
  EXPECT_NE(text.find("Samples: none, no fast open\n"), std::string::npos) << text;
}

TEST(Explain, ASourceOfTheOtherFamilyIsWrongUsage) {
  EXPECT_EQ(
      explained(makeNode(), deadAgent(), "10.96.0.10:80", Format::kTable, "fd00::7"),
      "exit 64: a client of fd00::7 cannot connect to 10.96.0.10:80: the address families differ");
}

}  // namespace
}  // namespace sockmesh::ctl::test
