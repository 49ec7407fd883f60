// SPDX-License-Identifier: Apache-2.0
// Priorities, panic, localities and zones: the worked values of Envoy's arithmetic.
#include <gtest/gtest.h>

#include <tuple>

#include "lb/host_pool.h"
#include "lb/priority_load.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;

struct Level {
  int healthy = 0;
  int total = 0;
  int degraded = 0;
};

LoadAssignment levels(const std::vector<Level>& given) {
  LoadAssignment made;
  int first = 1;
  for (std::uint32_t p = 0; p < given.size(); ++p) {
    auto group = locality("a", 0, first, given[p].total, given[p].healthy, p);
    for (int i = 0; i < given[p].degraded; ++i) {
      group.endpoints[static_cast<std::size_t>(given[p].healthy + i)].health = EdsHealth::kDegraded;
    }
    first += given[p].total;
    made.localities.push_back(group);
  }
  return made;
}

PriorityLoads loadsOf(const std::vector<Level>& given, PriorityRules rules = {}) {
  const LoadAssignment made = levels(given);
  return priorityLoads(prioritySet(made, {}), rules);
}

using Loads = std::vector<std::uint32_t>;
using Panic = std::vector<bool>;

TEST(PriorityLoads, TwoPriorities) {
  const std::vector<std::tuple<Level, Level, Loads, Panic>> table = {
      {{72, 100}, {100, 100}, {100, 0}, {false, false}},
      {{71, 100}, {100, 100}, {99, 1}, {false, false}},
      {{50, 100}, {100, 100}, {70, 30}, {false, false}},
      {{25, 100}, {100, 100}, {35, 65}, {false, false}},
      {{0, 100}, {100, 100}, {0, 100}, {false, false}},
      {{50, 100}, {60, 100}, {70, 30}, {false, false}},
      {{25, 100}, {25, 100}, {50, 50}, {true, true}},
      {{5, 100}, {65, 100}, {8, 92}, {true, false}},
      {{0, 3}, {0, 2}, {60, 40}, {true, true}},
      {{2, 3}, {3, 3}, {93, 7}, {false, false}},
      {{1, 3}, {3, 3}, {46, 54}, {false, false}},
      {{3, 4}, {2, 2}, {100, 0}, {false, false}},
      {{0, 0}, {2, 2}, {0, 100}, {false, false}},
  };
  for (const auto& [p0, p1, expected, panic] : table) {
    const PriorityLoads loads = loadsOf({p0, p1});
    EXPECT_EQ(loads.healthy, expected) << p0.healthy << "/" << p0.total << " " << p1.healthy;
    EXPECT_EQ(loads.panic, panic) << p0.healthy << "/" << p0.total << " " << p1.healthy;
  }
}

TEST(PriorityLoads, PanicOfALevelWithoutLoad) {
  const PriorityLoads loads = loadsOf({{6, 10}, {0, 10}});
  EXPECT_EQ(loads.healthy, (Loads{100, 0}));
  EXPECT_EQ(loads.panic, (Panic{false, true}));
}

TEST(PriorityLoads, ThreePriorities) {
  PriorityRules noPanic;
  noPanic.panicThresholdPercent = 0;
  EXPECT_EQ(loadsOf({{25, 100}, {25, 100}, {100, 100}}).healthy, (Loads{35, 35, 30}));
  EXPECT_EQ(loadsOf({{25, 100}, {25, 100}, {20, 100}}, noPanic).healthy, (Loads{37, 35, 28}));
  EXPECT_EQ(loadsOf({{25, 100}, {25, 100}, {20, 100}}).healthy, (Loads{34, 33, 33}));
}

TEST(PriorityLoads, NobodyHealthyWithoutPanic) {
  PriorityRules noPanic;
  noPanic.panicThresholdPercent = 0;
  const PriorityLoads loads = loadsOf({{0, 3}, {0, 2}}, noPanic);
  EXPECT_EQ(loads.healthy, (Loads{100, 0}));
  EXPECT_EQ(loads.panic, (Panic{false, false}));
}

TEST(PriorityLoads, ExactlyHalfIsNoPanicAndTheThresholdIsTruncated) {
  EXPECT_EQ(loadsOf({{1, 2}}).panic, Panic{false});
  EXPECT_EQ(loadsOf({{1, 3}}).panic, Panic{true});
  PriorityRules rules;
  rules.panicThresholdPercent = 33.9;
  EXPECT_EQ(loadsOf({{1, 3}}, rules).panic, Panic{false});
}

TEST(PriorityLoads, DegradedHosts) {
  const std::vector<std::tuple<Level, std::uint32_t, std::uint32_t>> table = {
      {{71, 100, 29}, 99, 1},  {{25, 100, 65}, 35, 65}, {{50, 100, 30}, 70, 30},
      {{30, 100, 30}, 50, 50}, {{0, 100, 100}, 0, 100}, {{71, 100, 0}, 100, 0},
  };
  for (const auto& [level, healthy, degraded] : table) {
    const PriorityLoads loads = loadsOf({level});
    EXPECT_EQ(loads.healthy[0], healthy);
    EXPECT_EQ(loads.degraded[0], degraded);
    EXPECT_FALSE(loads.panic[0]);
  }
  EXPECT_TRUE(loadsOf({{5, 100, 0}}).panic[0]);
  PriorityRules exact;
  exact.overprovisioningFactor = 100;
  exact.panicThresholdPercent = 0;
  const PriorityLoads loads = loadsOf({{10, 100, 20}, {20, 100, 10}, {10, 100, 0}}, exact);
  EXPECT_EQ(loads.healthy, (Loads{16, 28, 14}));
  EXPECT_EQ(loads.degraded, (Loads{28, 14, 0}));
}

TEST(PriorityLoads, WeightedPriorityHealthCountsWeights) {
  LoadAssignment made = levels({{1, 2}, {2, 2}});
  made.localities[0].endpoints[0].weight = 3;  // the healthy one: 3 of 4
  PriorityRules rules;
  EXPECT_EQ(priorityLoads(prioritySet(made, {}), rules).healthy, (Loads{70, 30}));
  rules.weightedPriorityHealth = true;
  EXPECT_EQ(priorityLoads(prioritySet(made, {}), rules).healthy, (Loads{100, 0}));
}

TEST(PriorityLoads, DrainingHostsLeaveTheDenominator) {
  LoadAssignment made = levels({{1, 4}, {1, 1}});
  EXPECT_EQ(priorityLoads(prioritySet(made, {}), {}).healthy, (Loads{35, 65}));
  for (const std::size_t i : {1U, 2U, 3U})
    made.localities[0].endpoints[i].health = EdsHealth::kDraining;
  EXPECT_EQ(priorityLoads(prioritySet(made, {}), {}).healthy, (Loads{100, 0}));
}

// X has weight 1 and part of its hosts, Y weight 2 and all.
TEST(LocalityWeights, AvailabilityReducesAWeight) {
  const std::vector<std::pair<int, double>> table = {{100, 33.3}, {72, 33.3}, {71, 33.2},
                                                     {70, 32.9},  {50, 25.9}, {25, 14.9}};
  Cluster c = cluster("c", LbPolicy::kRandom);
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  for (const auto& [up, expected] : table) {
    const auto shares = shareOf(
        *serviceOf(c, assignment({locality("x", 1, 1, 100, up), locality("y", 2, 101, 100, 100)})));
    double x = 0;
    for (int i = 1; i <= 100; ++i) x += shareOfHost(shares, i);
    EXPECT_NEAR(x * 100, expected, 0.05) << up;
  }
}

TEST(LocalityWeights, ThreeOfFive) {
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  const auto service =
      serviceOf(c, assignment({locality("x", 10, 1, 5, 3), locality("y", 10, 6, 5, 5)}));
  ASSERT_EQ(service->groups.size(), 1U) << "one schedule holds both localities";
  EXPECT_EQ(service->groups[0]->locality, Locality{});
  EXPECT_NEAR(shareOfHost(shareOf(*service), 1), 8.4 / 18.4 / 3, 1e-12);
}

TEST(LocalityWeights, UnsetMeansNothingUnlessAllAreUnset) {
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  auto shares =
      shareOf(*serviceOf(c, assignment({locality("x", 0, 1, 1, 1), locality("y", 5, 2, 1, 1)})));
  EXPECT_EQ(shareOfHost(shares, 1), 0);
  EXPECT_NEAR(shareOfHost(shares, 2), 1, 1e-12);
  shares =
      shareOf(*serviceOf(c, assignment({locality("x", 0, 1, 1, 1), locality("y", 0, 2, 2, 2)})));
  EXPECT_NEAR(shareOfHost(shares, 1), 1.0 / 3, 1e-12) << "flat";
  // A hash policy has no flat fallback: the table is empty.
  c.lb.policy = LbPolicy::kMaglev;
  shares =
      shareOf(*serviceOf(c, assignment({locality("x", 0, 1, 1, 1), locality("y", 0, 2, 2, 2)})));
  EXPECT_EQ(shares.refused, 1);
}

TEST(LocalityWeights, ALocalityGivenTwiceIsMergedAndTheLastWeightCounts) {
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  const auto shares =
      shareOf(*serviceOf(c, assignment({locality("x", 9, 1, 1, 1), locality("y", 1, 2, 1, 1),
                                        locality("x", 1, 3, 1, 1)})));
  EXPECT_NEAR(shareOfHost(shares, 1), 0.25, 1e-12);
  EXPECT_NEAR(shareOfHost(shares, 2), 0.5, 1e-12);
}

// --- zone-aware routing ---

struct Zones {
  std::vector<int> local;
  std::vector<int> upstream;
};

ServiceShares zoneShares(const Zones& zones, const ZoneAware& config = {},
                         double panicThreshold = 50) {
  const std::vector<std::string> names = {"own", "za", "zb"};
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kZoneAware;
  c.lb.zoneAware = config;
  c.lb.healthyPanicThresholdPercent = panicThreshold;
  LoadAssignment upstream;
  LoadAssignment local;
  for (std::size_t i = 0; i < zones.local.size(); ++i) {
    const int first = static_cast<int>(i) * 100;
    local.localities.push_back(locality(names[i], 0, 1000 + first, zones.local[i], zones.local[i]));
    upstream.localities.push_back(
        locality(names[i], 0, first + 1, zones.upstream[i], zones.upstream[i]));
  }
  SnapshotBuilder builder;
  builder.put(c, upstream).put(cluster("me"), local).listen("l", {kVip}, {{"c", 1, {}}});
  Compiler compiler({{std::string("r"), std::string("own"), std::string()}, "me"});
  return shareOf(test::at(*compiler.compile(builder.snapshot(), {}, std::chrono::seconds(1))));
}

double zoneShare(const ServiceShares& shares, int zone) {
  double sum = 0;
  for (int i = 1; i < 100; ++i) sum += shareOfHost(shares, zone * 100 + i);
  return sum;
}

TEST(ZoneAware, OwnZoneFirstTheRestByResidualCapacity) {
  auto shares = zoneShares({{2, 2, 2}, {2, 4, 4}});
  EXPECT_NEAR(zoneShare(shares, 0), 0.6, 1e-3);
  EXPECT_NEAR(zoneShare(shares, 1), 0.2, 1e-3);
  EXPECT_NEAR(zoneShare(shares, 2), 0.2, 1e-3);
  shares = zoneShares({{4, 4, 2}, {5, 10, 5}});
  EXPECT_NEAR(zoneShare(shares, 0), 0.625, 1e-3);
  EXPECT_NEAR(zoneShare(shares, 1), 0.25, 1e-3);
  EXPECT_NEAR(zoneShare(shares, 2), 0.125, 1e-3);
}

TEST(ZoneAware, AllStaysLocalWhenTheOwnZoneHasRoom) {
  EXPECT_NEAR(zoneShare(zoneShares({{2, 2, 2}, {4, 2, 2}}), 0), 1, 1e-9);
  EXPECT_NEAR(zoneShare(zoneShares({{2, 2, 2}, {2, 2, 2}}), 0), 1, 1e-9);
}

TEST(ZoneAware, DoesNotApplyToSmallClustersOrUnknownCallers) {
  EXPECT_NEAR(zoneShare(zoneShares({{2, 2, 1}, {1, 2, 2}}), 0), 0.2, 1e-9) << "5 hosts < 6";
  EXPECT_NEAR(zoneShare(zoneShares({{0, 2, 2}, {2, 4, 4}}), 0), 0.2, 1e-9);
  EXPECT_NEAR(zoneShare(zoneShares({{2, 0, 0}, {2, 4, 4}}), 0), 0.2, 1e-9) << "one own locality";
}

TEST(ZoneAware, PartlyEnabledAndForced) {
  ZoneAware half;
  half.routingEnabledPercent = 50;
  EXPECT_NEAR(zoneShare(zoneShares({{2, 2, 2}, {2, 4, 4}}, half), 0), (0.6 + 0.2) / 2, 1e-3);
  ZoneAware forced;
  forced.forceLocalZoneMinSize = 1;
  EXPECT_NEAR(zoneShare(zoneShares({{2, 2, 2}, {1, 4, 4}}, forced), 0), 1, 1e-9);
  forced.forceLocalZoneMinSize = 2;
  EXPECT_LT(zoneShare(zoneShares({{2, 2, 2}, {1, 4, 4}}, forced), 0), 0.5);
}

}  // namespace
}  // namespace sockmesh
