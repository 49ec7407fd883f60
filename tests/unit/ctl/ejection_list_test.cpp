// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

NodeView nodeWithEjections() {
  NodeView node = makeNode();
  // Ejected, and its time is over; back again.
  LiveEndpoint& due = node.live.endpoints[3];
  due.state.ejected_at_ns = node.live.nowNs - 31 * kSecondNs;
  due.state.ejected_until_ns = node.live.nowNs - kSecondNs;
  due.state.ejections = 1;
  due.state.detector = SM_DETECTOR_SUCCESS_RATE;
  LiveEndpoint& returned = node.live.endpoints[1];
  returned.state.ejected_at_ns = node.live.nowNs - 100 * kSecondNs;
  returned.state.unejected_at_ns = node.live.nowNs - 65 * kSecondNs;
  returned.state.ejections = 7;
  return node;
}

TEST(EjectionList, WhoWhySinceUntilHowOften) {
  EXPECT_EQ(shown(ejectionList(nodeWithEjections(), {}), Format::kTable),
            R"(ENDPOINT        CLUSTER      DETECTOR          SINCE     UNTIL    TIMES
10.0.0.2:9080   reviews-v1   consecutive_5xx   30s ago   in 30s       2
10.0.0.3:9080   reviews-v2   success_rate      31s ago   due          1
)");
}

TEST(EjectionList, ForWhomWhereOneClientAloneEjected) {
  NodeView node = makeNode();
  ClientRun run;
  run.client = SM_CLIENT_IS_POD | 4711;
  run.endpointId = 1;
  run.run.failures = 3;
  run.run.ejected_at_ns = node.live.nowNs - 5 * kSecondNs;
  run.run.ejected_until_ns = node.live.nowNs + 25 * kSecondNs;
  run.run.ejections = 1;
  run.run.detector = SM_DETECTOR_CONSECUTIVE_5XX;
  node.live.runs.push_back(run);
  run.endpointId = 3;
  run.run.ejected_until_ns = node.live.nowNs - kSecondNs;
  node.live.runs.push_back(run);
  EXPECT_EQ(shown(ejectionList(node, {}), Format::kTable),
            R"(ENDPOINT        CLUSTER      DETECTOR          SINCE     UNTIL    TIMES
10.0.0.2:9080   reviews-v1   consecutive_5xx   30s ago   in 30s       2

Ejected for one client alone
ENDPOINT        CLUSTER      CLIENT     DETECTOR          SINCE    UNTIL    TIMES
10.0.0.1:9080   reviews-v1   pod:4711   consecutive_5xx   5s ago   in 25s       1
)");
  const auto json = Json::parse(shown(ejectionList(node, {}), Format::kJson));
  ASSERT_EQ(json["own"].size(), 1u) << "the other one is over";
  EXPECT_EQ(json["own"].at(0)["client"], "pod:4711");
  EXPECT_EQ(json["own"].at(0)["remainingSeconds"], 25.0);
}

TEST(EjectionList, ThoseThatAreBackOnDemand) {
  EXPECT_EQ(shown(ejectionList(nodeWithEjections(), {"reviews-v1", true}), Format::kTable),
            R"(ENDPOINT        CLUSTER      DETECTOR          SINCE       UNTIL               TIMES
10.0.0.1:9080   reviews-v1   consecutive_5xx   1m40s ago   returned 1m5s ago       7
10.0.0.2:9080   reviews-v1   consecutive_5xx   30s ago     in 30s                  2
)");
}

TEST(EjectionList, AClusterThatCanEjectNoneIsNoted) {
  NodeView node = makeNode();
  node.live.clusters[1].state.ejection_limit = 0;
  const std::string text = shown(ejectionList(node, {}), Format::kTable);
  EXPECT_NE(text.find("Note: cluster reviews-v1: none can be ejected: max_ejection_percent of 2 "
                      "endpoints is less than one"),
            std::string::npos)
      << text;
}

TEST(EjectionList, WideHasTheClusters) {
  EXPECT_EQ(
      shown(ejectionList(makeNode(), {}), Format::kWide),
      R"(ENDPOINT        CLUSTER      DETECTOR          SINCE     UNTIL    TIMES   MULTIPLIER   FAILURES-IN-A-ROW
10.0.0.2:9080   reviews-v1   consecutive_5xx   30s ago   in 30s       2            2                   5

Clusters with outlier detection
CLUSTER      EJECTED   LIMIT   ENDPOINTS   DETECTED   ENFORCED   OVERFLOW   NOTE
reviews-v1         1       1           2          3          2          1   -
)");
}

TEST(EjectionList, JsonIsTyped) {
  const auto json = Json::parse(shown(ejectionList(makeNode(), {}), Format::kJson));
  EXPECT_EQ(json["kind"], "EjectionList");
  const auto& item = json["items"].at(0);
  EXPECT_EQ(item["detector"], "consecutive_5xx");
  EXPECT_EQ(item["ejectedSecondsAgo"], 30.0);
  EXPECT_EQ(item["remainingSeconds"], 30.0);
  EXPECT_EQ(item["returnedSecondsAgo"], 90.0);
  EXPECT_EQ(item["ejections"], 2);
  EXPECT_EQ(json["clusters"].at(0)["overflow"], 1);
}

}  // namespace
}  // namespace sockmesh::ctl::test
