// SPDX-License-Identifier: Apache-2.0
// Groups by policy, a service's flags, and what a cluster's outlier detection means to the kernel.
#include <gtest/gtest.h>

#include "lb/cell_table.h"
#include "lb/cluster_facts.h"
#include "lb/hash.h"
#include "lb/share.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;

LoadAssignment twoLevels() {
  return assignment({locality("a", 0, 1, 5, 3, 0), locality("a", 0, 6, 3, 3, 1)});
}

TEST(RandomPolicy, OneGroupOverAllPriorities) {
  const auto service = serviceOf(cluster("c", LbPolicy::kRandom), twoLevels());
  ASSERT_EQ(service->groups.size(), 1U);
  const auto shares = shareOf(*service);
  EXPECT_NEAR(shareOfHost(shares, 1), 0.84 / 3, 1e-9);
  EXPECT_EQ(shareOfHost(shares, 4), 0);
  EXPECT_NEAR(shareOfHost(shares, 6), 0.16 / 3, 1e-9);
}

TEST(RoundRobinPolicy, OneGroupForEachPriority) {
  const auto service = serviceOf(cluster("c"), twoLevels());
  ASSERT_EQ(service->groups.size(), 2U);
  EXPECT_EQ(service->groups[1]->priority, 1U);
  EXPECT_NEAR(shareOfHost(shareOf(*service), 6), 0.16 / 3, 1e-9);
}

TEST(RoundRobinPolicy, WeightsThatNoScheduleHoldsAreDrawn) {
  LocalityEndpoints group;
  group.endpoints = {endpoint(1, 1), endpoint(2, 1000003)};
  const auto service = serviceOf(cluster("c"), assignment({group}));
  EXPECT_EQ(service->groups[0]->policy, SM_POLICY_RANDOM);
  EXPECT_NEAR(shareOfHost(shareOf(*service), 1), 1.0 / 1000004, 1e-9);
}

TEST(RoundRobinPolicy, LocalitiesThatNoScheduleHoldsAreGroups) {
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  const auto service =
      serviceOf(c, assignment({locality("x", 1, 1, 2, 2), locality("y", 1000003, 3, 1, 1)}));
  ASSERT_EQ(service->groups.size(), 2U);
  EXPECT_EQ(service->groups[0]->locality->zone, "x");
  EXPECT_EQ(service->groups[0]->policy, SM_POLICY_ROUND_ROBIN);
  EXPECT_NEAR(shareOfHost(shareOf(*service), 1), 0.5 / 1000004, 1e-9);
}

TEST(LeastRequestPolicy, EqualWeightsNeedNoTable) {
  Cluster c = cluster("c", LbPolicy::kLeastRequest);
  c.lb.choiceCount = 3;
  c.lb.activeRequestBias = 0.5;
  c.lb.fullScan = true;
  const auto service = serviceOf(c, assignment({locality("a", 0, 1, 3, 3)}));
  const LbGroup& group = *service->groups[0];
  EXPECT_EQ(group.policy, SM_POLICY_LEAST_REQUEST);
  EXPECT_EQ(group.table, nullptr);
  EXPECT_EQ(group.choiceCount, 3U);
  EXPECT_EQ(group.biasQ16, 32768U);
  EXPECT_EQ(group.flags, SM_GROUP_FULL_SCAN);
}

TEST(LeastRequestPolicy, UnequalWeightsStandInTheCells) {
  LocalityEndpoints given;
  given.endpoints = {endpoint(1, 9), endpoint(2, 4), endpoint(3, 1)};
  const auto service = serviceOf(cluster("c", LbPolicy::kLeastRequest), assignment({given}));
  const LbGroup& group = *service->groups[0];
  EXPECT_EQ(group.flags, SM_GROUP_WEIGHTED);
  EXPECT_EQ(group.biasQ16, 65536U);
  ASSERT_EQ(group.table->size, 3U);
  // Draws by the root of the weights, loads accordingly.
  EXPECT_EQ(group.table->cells[0].alias.inverse_q16, 65536U);
  EXPECT_EQ(group.table->cells[1].alias.inverse_q16, 98304U);
  EXPECT_EQ(group.table->cells[2].alias.inverse_q16, 196608U);
  const auto drawn = aliasShares(*group.table, 3);
  EXPECT_NEAR(drawn[0], 3.0 / 6, 1e-9);
  EXPECT_NEAR(shareOfHost(shareOf(*service), 1), 9.0 / 14, 1e-8);
}

TEST(LeastRequestPolicy, LocalitiesStayApart) {
  Cluster c = cluster("c", LbPolicy::kLeastRequest);
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  const auto service =
      serviceOf(c, assignment({locality("x", 3, 1, 2, 2), locality("y", 1, 3, 2, 2)}));
  ASSERT_EQ(service->groups.size(), 2U);
  EXPECT_EQ(service->groups[0]->locality->zone, "x");
  EXPECT_NEAR(shareOfHost(shareOf(*service), 1), 0.375, 1e-9);
}

TEST(HashPolicy, HashPicksThePriorityToo) {
  const auto service = serviceOf(cluster("c", LbPolicy::kMaglev), twoLevels(), true);
  ASSERT_EQ(service->groups.size(), 3U);
  EXPECT_EQ(service->pickSize, 1U);
  const LbGroup& entry = *service->groups[0];
  EXPECT_EQ(entry.policy, SM_POLICY_BY_HASH);
  EXPECT_EQ(entry.cluster, "");
  ASSERT_EQ(entry.table->size, 100U);
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(wordAt(*entry.table, i), i < 84 ? 1U : 2U);
  EXPECT_EQ(service->groups[1]->policy, SM_POLICY_MAGLEV);
  EXPECT_EQ(service->groups[1]->hosts.size(), 3U) << "the healthy ones";
  EXPECT_EQ(service->groups[2]->priority, 1U);
}

TEST(HashPolicy, LegsWithPrioritiesBesideOthers) {
  const auto service = serviceOf({{cluster("c", LbPolicy::kRingHash), twoLevels(), 1, {}},
                                  {cluster("d"), assignment({locality("a", 0, 1, 2, 2)}), 1, {}},
                                  {cluster("e", LbPolicy::kMaglev), twoLevels(), 2, {}}});
  EXPECT_EQ(service->pickSize, 3U);
  EXPECT_EQ(service->groups.size(), 7U);
  const auto shares = shareOf(*service);
  double e = 0;
  for (int i = 6; i <= 8; ++i) e += shareOfHost(shares, i, "e");
  EXPECT_NEAR(e, 0.5 * 0.16, 1e-9);
  EXPECT_NEAR(shareOfHost(shares, 1, "d"), 0.125, 1e-9);
}

TEST(HashPolicy, DegradedHostsAreNotInTheTable) {
  LoadAssignment given = assignment({locality("a", 0, 1, 4, 2)});
  given.localities[0].endpoints[2].health = EdsHealth::kDegraded;
  given.localities[0].endpoints[3].health = EdsHealth::kDegraded;
  Cluster c = cluster("c", LbPolicy::kRingHash);
  c.lb.hashBalanceFactor = 150;
  auto service = serviceOf(c, given);
  EXPECT_EQ(service->groups[0]->hosts, (std::vector{host(1), host(2)}));
  EXPECT_EQ(service->groups[0]->balancePercent, 150U);
  for (auto& one : given.localities[0].endpoints) one.health = EdsHealth::kDegraded;
  service = serviceOf(c, given);
  EXPECT_EQ(service->groups[0]->policy, SM_POLICY_REFUSE);
}

TEST(HashPolicy, PanicTakesAllHosts) {
  const auto service =
      serviceOf(cluster("c", LbPolicy::kMaglev), assignment({locality("a", 0, 1, 3, 0)}));
  EXPECT_EQ(service->groups[0]->hosts.size(), 3U);
  EXPECT_EQ(service->groups[0]->flags, SM_GROUP_PANIC);
}

TEST(Descriptor, FlagsSayWhatHashesAndWhatNeedsMore) {
  const LoadAssignment given = assignment({locality("a", 0, 1, 3, 3)});
  EXPECT_EQ(serviceOf(cluster("c"), given, true)->flags, 0U) << "round robin hashes nothing";
  Cluster c = cluster("c", LbPolicy::kMaglev);
  EXPECT_EQ(serviceOf(c, given, false)->flags, 0U);
  EXPECT_EQ(serviceOf(c, given, true)->flags, SM_DESCRIPTOR_HASH_SOURCE);
  c.lb.hashPolicyGiven = true;
  EXPECT_EQ(serviceOf(c, given, true)->flags, 0U) << "the policy's own list overrides";
  c.lb.hashSourceIp = true;
  EXPECT_EQ(serviceOf(c, given, false)->flags, SM_DESCRIPTOR_HASH_SOURCE);
  c.lb.hashNeedsLayerSeven = {{"header x-user"}};
  c.automaticTls = true;
  EXPECT_EQ(serviceOf(c, given, false)->flags,
            SM_DESCRIPTOR_HASH_SOURCE | SM_DESCRIPTOR_NEEDS_L7 | SM_DESCRIPTOR_AUTO_TLS);
  c.leaveAlone = LeftAloneReason::kTls;
  EXPECT_EQ(serviceOf(c, given, false)->flags, 0U) << "left alone: nothing is rewritten";
}

TEST(Shares, ATableThatLeadsNowhereHasNoShare) {
  const auto given = assignment({locality("a", 0, 1, 3, 3)});
  for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kRandom, LbPolicy::kMaglev,
                                LbPolicy::kRingHash, LbPolicy::kLeastRequest}) {
    auto service = LbService(*serviceOf(cluster("c", policy), given));
    auto group = std::make_shared<LbGroup>(*service.groups[0]);
    group->hosts.resize(2);
    service.groups[0] = group;
    EXPECT_EQ(shareOf(service).endpoints.size(), 2U);
    if (policy == LbPolicy::kLeastRequest) continue;
    auto table = std::make_shared<CellTable>(*group->table);
    table->cells.resize(table->cells.size() / 2);
    group->table = table;
    EXPECT_LE(shareOf(service).endpoints.size(), 2U);
    group->table = nullptr;
    EXPECT_TRUE(shareOf(service).endpoints.empty());
  }
}

TEST(ClusterFacts, ConsecutiveRulesInEnvoysOrder) {
  OutlierDetection config;
  config.consecutive5xx = 7;
  auto rules = ejectionRules(config, 10);
  EXPECT_EQ(rules.consecutive[0], (ConsecutiveRule{5, 0, Detector::kConsecutiveGatewayFailure}));
  EXPECT_EQ(rules.consecutive[1], (ConsecutiveRule{7, 100, Detector::kConsecutive5xx}));
  config.consecutiveGatewayFailure = 0;
  EXPECT_EQ(ejectionRules(config, 10).consecutive[0], ConsecutiveRule{}) << "0 never fires";
  config.splitExternalLocalOriginErrors = true;
  config.consecutiveLocalOriginFailure = 3;
  config.enforcingConsecutiveLocalOriginFailure = 50;
  rules = ejectionRules(config, 10);
  EXPECT_EQ(rules.consecutive[0],
            (ConsecutiveRule{3, 50, Detector::kConsecutiveLocalOriginFailure}));
  EXPECT_EQ(rules.consecutive[1], ConsecutiveRule{}) << "no connect is of external origin";
}

TEST(ClusterFacts, EjectionLimit) {
  const std::vector<std::pair<std::size_t, std::vector<std::uint32_t>>> table = {
      {1, {0, 0, 0, 0, 1}}, {2, {0, 0, 0, 1, 2}},   {3, {0, 0, 1, 1, 3}},   {5, {0, 1, 1, 2, 5}},
      {9, {0, 1, 3, 4, 9}}, {10, {1, 2, 3, 5, 10}}, {19, {1, 3, 6, 9, 19}}, {20, {2, 4, 6, 10, 20}},
  };
  const std::vector<std::uint32_t> percents = {10, 20, 34, 50, 100};
  for (const auto& [hosts, limits] : table) {
    for (std::size_t i = 0; i < percents.size(); ++i) {
      OutlierDetection config;
      config.maxEjectionPercent = percents[i];
      EXPECT_EQ(ejectionLimit(config, hosts), limits[i]) << hosts << " " << percents[i];
      config.alwaysEjectOneHost = true;
      EXPECT_EQ(ejectionLimit(config, hosts), std::max(1U, limits[i]));
    }
  }
  EXPECT_EQ(ejectionLimit({}, 0), 0U);
}

TEST(ClusterFacts, OnlyWithOutlierDetection) {
  Cluster c = cluster("c");
  c.connectTimeout = std::chrono::milliseconds(250);
  auto tables = compileLegs({{c, twoLevels(), 1, {}}});
  EXPECT_EQ(tables->clusters.at("c")->ejection, EjectionRules{});
  EXPECT_EQ(tables->clusters.at("c")->connectTimeout, std::chrono::milliseconds(250));
  c.outlierDetection.emplace().maxEjectionPercent = 50;
  tables = compileLegs({{c, twoLevels(), 1, {}}});
  EXPECT_EQ(tables->clusters.at("c")->ejection.consecutive[1].threshold, 5U);
  EXPECT_EQ(tables->clusters.at("c")->ejection.limit, 4U);
  EXPECT_EQ(tables->clusters.at("c")->ejection.base, std::chrono::seconds(30));
}

}  // namespace
}  // namespace sockmesh
