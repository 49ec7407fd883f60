// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent_fixture.h"
#include "maps/program_names.h"
#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr const char* kAgentDead =
    R"(Agent: not reachable at 127.0.0.1:15077 (Connection refused); what follows is what the kernel holds and keeps doing without it

Programs: 1 of 11 attached
PROGRAM       STATE      HOOK       CGROUP           ORDER
sm_connect4   attached   connect4   /sys/fs/cgroup   -

Effective (connect4): yes, a connect() to 10.96.0.10:80 (reviews:80) leads to 10.0.0.1:9080

Services: 3 (1 balanced, 1 refused, 1 left_alone)
  10.96.0.11:443   vault     LeftAlone(Tls)         the cluster asks for TLS, which a connect() cannot originate
  [fd00::1]:80     ratings   Refused(NoEndpoints)   the cluster has no endpoints

Needing layer 7: 1 service, balanced without the requests that their routes or hash policies need
  [fd00::1]:80   ratings   a route or a hash policy needs a request: its path, a header or the like

Endpoints: 3 in 2 clusters, 1 ejected; 1 connections tracked
Outlier detection: in 1 clusters, 1 endpoints ejected

Datapath events:
  conn_overflow   7   a full bucket of connection records; a hash took the record

Maps: 496KiB (services 8KiB, endpoints 96KiB, names 128KiB, other 264KiB), nearly full:
  names   90%   900 of 1000
)";

constexpr const char* kAgentAlive =
    R"(Agent: v1.2.3, up since 2026-01-02T03:04:05.000Z, not ready (endpoints of 2 clusters have not arrived)

Control plane: istiod:15010, connected since 2026-01-02T03:04:06.000Z
  TYPE   VERSION   ACCEPTED   REJECTED   LAST-UPDATE                LAST-REJECTION
  CDS    7                7          1   2026-01-02T03:05:00.000Z   clusters[0].name: empty
  EDS    9                9          0   -                          -

Not honoured: 2 fields without effect, in 3 resources
  FIELD           WHY                                  CLUSTERS   LISTENERS
  health_checks   endpoints are not checked actively          2           0
  on_demand       clusters are not asked for by name          0           1

Listeners and virtual hosts that make no VIP: 1 (-o wide lists them)

Programs: 1 of 11 attached
PROGRAM       STATE      HOOK       CGROUP           ORDER
sm_connect4   attached   connect4   /sys/fs/cgroup   -

Effective (connect4): yes, a connect() to 10.96.0.10:80 (reviews:80) leads to 10.0.0.1:9080

Services: 3 (1 balanced, 1 refused, 1 left_alone)
  10.96.0.11:443   vault     LeftAlone(Tls)         the cluster asks for TLS, which a connect() cannot originate
  [fd00::1]:80     ratings   Refused(NoEndpoints)   the cluster has no endpoints

Needing layer 7: 1 service, balanced without the requests that their routes or hash policies need
  [fd00::1]:80   ratings   hash policy: header x-user (cluster ratings-cluster)

Endpoints: 3 in 2 clusters, 1 ejected; 1 connections tracked
Outlier detection: in 1 clusters, 1 endpoints ejected

Datapath events:
  conn_overflow   7   a full bucket of connection records; a hash took the record

Maps: 496KiB (services 8KiB, endpoints 96KiB, names 128KiB, other 264KiB), nearly full:
  names   90%   900 of 1000
)";

constexpr const char* kJson = R"({
  "schemaVersion": 1,
  "kind": "NodeStatus",
  "pinFolder": "/sys/fs/bpf/sockmesh-v1",
  "agent": {
    "address": "127.0.0.1:15077",
    "reachable": false,
    "problem": "Connection refused",
    "registeredTgid": 4242,
    "status": null
  },
  "programs": [
    {
      "name": "sm_connect4",
      "attached": true,
      "problem": "",
      "hook": "connect4",
      "cgroupId": 1,
      "cgroupPath": "/sys/fs/cgroup",
      "linkId": 61,
      "program": {
        "id": 11,
        "name": "sm_connect4",
        "tag": "0123456789abcdef",
        "ours": true
      },
      "order": [
        {
          "id": 11,
          "name": "sm_connect4",
          "tag": "0123456789abcdef",
          "ours": true
        }
      ]
    }
  ],
  "programsProblem": "",
  "canaries": [
    {
      "hook": "connect4",
      "vip": "10.96.0.10:80",
      "service": "reviews:80",
      "result": "Rewritten",
      "leadsTo": "10.0.0.1:9080",
      "problem": "",
      "programsBefore": []
    }
  ],
  "services": {
    "total": 3,
    "byState": {
      "balanced": 1,
      "refused": 1,
      "left_alone": 1,
      "mixed": 0,
      "broken": 0
    },
    "notBalanced": [
      {
        "vip": "10.96.0.11:443",
        "service": "vault",
        "state": "LeftAlone",
        "reason": "Tls",
        "meaning": "the cluster asks for TLS, which a connect() cannot originate"
      },
      {
        "vip": "[fd00::1]:80",
        "service": "ratings",
        "state": "Refused",
        "reason": "NoEndpoints",
        "meaning": "the cluster has no endpoints"
      }
    ],
    "broken": [],
    "stale": false
  },
  "needsLayer7": [
    {
      "vip": "[fd00::1]:80",
      "service": "ratings",
      "reasons": [
        "a route or a hash policy needs a request: its path, a header or the like"
      ]
    }
  ],
  "unreachedSockets": [],
  "unreachableEndpoints": [],
  "podsLeftAlone": [],
  "endpoints": {
    "total": 3,
    "ejected": 1
  },
  "clusters": 2,
  "connections": 1,
  "outlierDetection": {
    "clusters": 1,
    "ejected": 1,
    "cannotEject": []
  },
  "datapathEvents": {
    "lookup_retry": 0,
    "lookup_exhausted": 0,
    "conn_overflow": 7,
    "conn_lost": 0,
    "table_broken": 0,
    "events_dropped": 0,
    "family_mismatch": 0,
    "affinity_lost": 0,
    "callbacks_lost": 0,
    "conn_swept": 0,
    "flows_lost": 0,
    "left_stale": 0
  },
  "maps": {
    "memoryBytes": 507904,
    "memory": {
      "services": 8192,
      "clusters": 0,
      "endpoints": 98304,
      "names": 131072,
      "connections": 0,
      "cpus": 0,
      "other": 270336
    },
    "underPressure": [
      {
        "map": "names",
        "percent": 90.0
      }
    ]
  }
}
)";

TEST(Status, ARuleByPodsIsNamedWithThePod) {
  NodeView node = makeNode();
  addPodWithSidecar(node);
  node.live.unserved[0].reason = SM_UNSERVED_LEFT_OUT;
  node.cgroupPaths[7002] = "/sys/fs/cgroup/kubepods.slice/kubepods-pod1_a.slice/cri-1.scope";
  AgentReport agent = liveAgent();
  (*agent.status)["podWatch"] = Json::parse(R"({"address": "10.96.0.1:443", "watching": true,
      "watchingSince": "2026-01-01T00:00:00Z", "pods": 7, "leftOut": 2, "letIn": 1, "named": [
      {"uid": "1-ab", "namespace": "shop", "name": "db", "decision": "left_out", "rule": "x"},
      {"uid": "1-a", "namespace": "shop", "name": "web", "decision": "left_out",
       "rule": "served.leave_out[0]"}]})");
  const std::string text = shown(status(node, agent), Format::kTable);
  EXPECT_NE(text.find("Pods: API server 10.96.0.1:443, watched since 2026-01-01T00:00:00Z; of 7 "
                      "pods, 2 left out and 1 let in by rules\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(": shop/web by served.leave_out[0]\n"), std::string::npos) << text;
  (*agent.status)["podWatch"]["watching"] = false;
  (*agent.status)["podWatch"]["lastError"] = "HTTP 503";
  const std::string lost = shown(status(node, agent), Format::kTable);
  EXPECT_NE(lost.find("10.96.0.1:443, not watched (HTTP 503); of 7"), std::string::npos) << lost;
}

TEST(Status, PodsThatAreLeftAloneAreListedWithTheirReason) {
  NodeView node = makeNode();
  addPodWithSidecar(node);
  const std::string text = shown(status(node, deadAgent()), Format::kTable);
  EXPECT_NE(text.find(R"(Pods left alone: 1 that connected to a VIP within the last 10 minutes
  CGROUP                         NETNS              REASON    MEANING
  /sys/fs/cgroup/kubepods/pod1   net:[4026532012]   sidecar   it has a sidecar proxy of its own
)"),
            std::string::npos)
      << text;
  // Whoever was not seen for ten minutes may be gone.
  node.live.nowNs += 571 * 1'000'000'000ULL;
  EXPECT_EQ(shown(status(node, deadAgent()), Format::kTable).find("Pods left alone"),
            std::string::npos);
}

TEST(Status, WithTheAgentDeadTellsWhatTheKernelHolds) {
  EXPECT_EQ(shown(status(makeNode(), deadAgent()), Format::kTable), kAgentDead);
  EXPECT_EQ(shown(status(makeNode(), deadAgent()), Format::kJson), kJson);
}

TEST(Status, WithTheAgentAliveTellsOfTheControlPlane) {
  EXPECT_EQ(shown(status(makeNode(), liveAgent()), Format::kTable), kAgentAlive);
}

TEST(Status, WideNamesWhatIsNotFollowed) {
  const std::string text = shown(status(makeNode(), liveAgent()), Format::kWide);
  for (const char* line : {
           "health_checks   endpoints are not checked actively          2           0   "
           "other,reviews-v1",
           "\n  0.0.0.0_80   wildcard address 0.0.0.0:80\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(Status, WhereEverythingIsHonouredItSaysSo) {
  AgentReport agent = liveAgent();
  (*agent.status)["notHonoured"] = Json::parse("{\"resources\": 0, \"items\": []}");
  EXPECT_NE(shown(status(makeNode(), agent), Format::kTable).find("Not honoured: none\n"),
            std::string::npos);
}

TEST(Status, ACanaryThatIsNotRewrittenIsAFailure) {
  const auto with = [](Canary::Result result, const std::optional<SocketAddress>& leadsTo) {
    NodeView node = makeNode();
    for (std::size_t i = 1; i < programNames().size(); ++i) {
      node.attachments.push_back(node.attachments[0]);
    }
    node.canaries[0].result = result;
    node.canaries[0].leadsTo = leadsTo;
    node.canaries[0].problem = "Network is unreachable";
    node.canaries[0].before = {{7, "cil_sock4_connect", "aa", false}};
    return status(node, deadAgent());
  };
  const auto expect = [](const Outcome& outcome, const std::string& line, ExitCode code) {
    const std::string text = shown(outcome, Format::kTable);
    EXPECT_NE(text.find("\nEffective (connect4): " + line + "\n"), std::string::npos) << text;
    EXPECT_NE(text.find("\nBefore sockmesh on connect4: cil_sock4_connect#7; what it rewrites or "
                        "denies, sockmesh does not see\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(std::get<Document>(outcome).exitCode, code) << line;
  };
  const std::string what = "a connect() to 10.96.0.10:80 (reviews:80)";
  expect(with(Canary::Result::kNotRewritten, SocketAddress::parse("10.96.0.10:80").value()),
         "NO, " + what + " is not rewritten", kExitUnavailable);
  expect(with(Canary::Result::kDenied, std::nullopt),
         "NO, " + what + " is denied (Network is unreachable)", kExitUnavailable);
  expect(with(Canary::Result::kElsewhere, SocketAddress::parse("10.0.9.9:80").value()),
         "NO, " + what + " leads to 10.0.9.9:80, which is no endpoint of it", kExitUnavailable);
  expect(with(Canary::Result::kUnknown, std::nullopt),
         "not known, " + what + ": Network is unreachable", kExitOk);
}

TEST(Status, NoticesAForeignProgramThatRunsFirst) {
  NodeView node = makeNode();
  node.attachments[0].order.insert(node.attachments[0].order.begin(),
                                   ProgramInfo{7, "cil_sock4", "aa", false});
  const std::string text = shown(status(node, deadAgent()), Format::kTable);
  EXPECT_NE(text.find("cil_sock4#7 > sockmesh"), std::string::npos) << text;
}

TEST(Status, AMissingProgramIsNotCountedAsAttached) {
  NodeView node = makeNode();
  Attachment missing;
  missing.link = "sm_connect6";
  missing.problem = "not pinned";
  node.attachments.push_back(missing);
  const std::string text = shown(status(node, deadAgent()), Format::kTable);
  EXPECT_NE(text.find("Programs: 1 of 11 attached"), std::string::npos) << text;
  EXPECT_NE(text.find("sm_connect6   not pinned"), std::string::npos) << text;
}

TEST(Status, FailsUnlessAllProgramsAreAttached) {
  NodeView node = makeNode();
  const auto exitCode = [&] { return std::get<Document>(status(node, deadAgent())).exitCode; };
  EXPECT_EQ(exitCode(), kExitUnavailable) << "one of them is";
  for (std::size_t i = 1; i < programNames().size(); ++i)
    node.attachments.push_back(node.attachments[0]);
  EXPECT_EQ(exitCode(), kExitOk);
  node.attachments[3].problem = "detached: its cgroup is gone";
  EXPECT_EQ(exitCode(), kExitUnavailable);
}

TEST(Status, SaysThatServicesAreLeftAloneAsStale) {
  NodeView node = makeNode();
  node.live.staleFromNs = node.live.nowNs + 1;
  EXPECT_EQ(shown(status(node, deadAgent()), Format::kTable).find("Services are left alone"),
            std::string::npos);
  node.live.nowNs = node.live.staleFromNs + 90'000'000'000;
  const std::string text = shown(status(node, deadAgent()), Format::kTable);
  EXPECT_NE(text.find("Services are left alone: for 1m30s, because the control plane was not heard "
                      "within ads.stale_after"),
            std::string::npos)
      << text;
}

TEST(Status, SaysWhatTheAgentWaitsFor) {
  AgentReport agent = liveAgent();
  (*agent.status)["notes"] = {"2 services serve as before: waiting for endpoints"};
  const std::string text = shown(status(makeNode(), agent), Format::kTable);
  EXPECT_NE(text.find("Waiting: 2 services serve as before: waiting for endpoints\n"),
            std::string::npos)
      << text;
}

// "3 balanced" alone reads as if all were well.
TEST(Status, SaysWhatDidNotFitIntoTheMaps) {
  AgentReport agent = liveAgent();
  Json pending = Json::array();
  for (int i = 1; i <= 50; ++i) pending.push_back("s" + std::to_string(i) + ": no room");
  (*agent.status)["writer"]["pending"] = pending;
  const std::string text = shown(status(makeNode(), agent), Format::kTable);
  EXPECT_NE(text.find("\nNot written: 50 of what the control plane configured; the agent tries "
                      "again:\n  s1: no room\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  s5: no room\n  and 45 more (-o json lists them in "
                      "agent.status.writer.pending)\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("s6: no room"), std::string::npos);
}

TEST(Status, ADnsClusterOverItsLimitIsNamed) {
  AgentReport agent = liveAgent();
  (*agent.status)["dns"] =
      Json::parse(R"({"refused": {"api": "has 300 endpoints, 200 are left"}})");
  const std::string text = shown(status(makeNode(), agent), Format::kTable);
  EXPECT_NE(text.find("\nDNS cluster api: has 300 endpoints, 200 are left\n"), std::string::npos)
      << text;
}

// Another version of the agent may leave fields out or give them another type.
TEST(Status, AStrangeAnswerOfTheAgentDoesNotBreakIt) {
  for (const char* answer : {"{}", R"({"xds": 3, "version": null})",
                             R"({"xds": {"types": [1, {"lastRejection": "x"}]}})",
                             R"({"needsLayer7": [1, {"service": "ratings"}], "leftAlone": [null]})",
                             R"({"notHonoured": {"items": [7, {"fields": ["x", 1]}]}})"}) {
    const AgentReport agent{"127.0.0.1:1", Json::parse(answer), ""};
    EXPECT_NE(shown(status(makeNode(), agent), Format::kTable).find("Agent:"), std::string::npos);
  }
}

}  // namespace
}  // namespace sockmesh::ctl::test
