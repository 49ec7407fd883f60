// SPDX-License-Identifier: Apache-2.0
// A compiler with a history gives what a fresh compiler gives, and keeps what did not change.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "lb/compiler.h"
#include "unit/lb/build.h"
#include "unit/lb/random_cluster.h"

namespace sockmesh {
namespace {

using namespace test;

constexpr Nanos kNow = std::chrono::seconds(1);

bool sameConflicts(const LbTables& a, const LbTables& b) {
  return std::equal(a.conflicts.begin(), a.conflicts.end(), b.conflicts.begin(), b.conflicts.end(),
                    [](const LeftAlone& x, const LeftAlone& y) {
                      return x.name == y.name && x.reason == y.reason;
                    });
}

bool sameTables(const LbTables& a, const LbTables& b) {
  const auto equal = [](const auto& x, const auto& y) {
    return x.first == y.first && *x.second == *y.second;
  };
  return std::equal(a.services.begin(), a.services.end(), b.services.begin(), b.services.end(),
                    equal) &&
         std::equal(a.clusters.begin(), a.clusters.end(), b.clusters.begin(), b.clusters.end(),
                    equal) &&
         sameConflicts(a, b);
}

// Clusters c0 to c3 and listeners l0 to l5 that fight over six VIPs, changed at random.
class History {
 public:
  explicit History(std::uint32_t seed) : random_(seed), clusters_(seed) {}

  // What the step changed.
  Changes step() {
    changed_ = {};
    stepOnce();
    return changed_;
  }

  const Snapshot& snapshot() const { return snapshot_; }
  const HealthOverlay& overlay() const { return overlay_; }

 private:
  void stepOnce() {
    switch (random_() % 8) {
      case 0:
      case 1:
        return putCluster();
      case 2:
      case 3:
        return putListener();
      case 4:
        snapshot_.listeners.erase(changed(changed_.listeners, listener()));
        return;
      case 5:
        snapshot_.clusters.erase(changed(changed_.clusters, name()));
        return;
      case 6:
        snapshot_.assignments.erase(changed(changed_.assignments, name()));
        return;
      default:
        return eject();
    }
  }

  static std::string changed(std::set<std::string>& names, const std::string& name) {
    names.insert(name);
    return name;
  }
  std::string name() { return "c" + std::to_string(random_() % 4); }
  std::string listener() { return "l" + std::to_string(random_() % 6); }

  void putCluster() {
    ModelLeg leg = clusters_.legs().front();
    leg.cluster.name = leg.cluster.edsName = leg.assignment.clusterName = name();
    changed_.clusters.insert(leg.cluster.name);
    changed_.assignments.insert(leg.cluster.name);
    snapshot_.clusters[leg.cluster.name] = std::make_shared<Cluster>(leg.cluster);
    snapshot_.assignments[leg.cluster.name] = std::make_shared<LoadAssignment>(leg.assignment);
  }

  void putListener() {
    auto made = std::make_shared<Listener>();
    made->name = changed(changed_.listeners, listener());
    const auto vips = 1 + random_() % 2;
    for (std::uint32_t i = 0; i < vips; ++i) made->addresses.push_back(host(random_() % 6));
    const auto legs = 1 + random_() % 3;
    for (std::uint32_t i = 0; i < legs; ++i) {
      WeightedCluster leg{name(), 1 + static_cast<std::uint32_t>(random_() % 9), {}};
      leg.metadataMatch["version"].value = "v" + std::to_string(random_() % 3);
      made->route.clusters.push_back(leg);
    }
    made->route.hashSourceIp = random_() % 2 == 0;
    snapshot_.listeners[made->name] = made;
  }

  void eject() {
    auto& known = overlay_.byCluster[changed(changed_.clusters, name())];
    known[host(static_cast<int>(1 + random_() % 20))].ejected = random_() % 2 == 0;
  }

  std::mt19937 random_;
  RandomClusters clusters_;
  Snapshot snapshot_;
  HealthOverlay overlay_;
  Changes changed_;
};

TEST(Incremental, AHistoryLeavesNoTraces) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    History history(seed);
    Compiler compiler({});
    auto before = compiler.compile(history.snapshot(), history.overlay(), kNow);
    for (int step = 0; step < 100; ++step) {
      history.step();
      const auto grown = compiler.compile(history.snapshot(), history.overlay(), kNow);
      const auto fresh = Compiler({}).compile(history.snapshot(), history.overlay(), kNow);
      ASSERT_TRUE(sameTables(*grown, *fresh)) << "seed " << seed << " step " << step;
      for (const auto& [key, service] : grown->services) {
        const auto old = before->services.find(key);
        if (old == before->services.end() || !(*old->second == *service)) continue;
        ASSERT_EQ(old->second, service) << "equal, so the same object";
      }
      for (const auto& [key, cluster] : grown->clusters) {
        const auto old = before->clusters.find(key);
        if (old == before->clusters.end() || !(*old->second == *cluster)) continue;
        ASSERT_EQ(old->second, cluster) << "equal, so the same object";
      }
      before = grown;
    }
  }
}

// By looking at everything.
template <typename Map>
std::set<typename Map::key_type> differing(const Map& before, const Map& now) {
  std::set<typename Map::key_type> keys;
  for (const auto& [key, value] : now) {
    const auto old = before.find(key);
    if (old == before.end() || !(*old->second == *value)) keys.insert(key);
  }
  for (const auto& [key, value] : before) {
    if (!now.contains(key)) keys.insert(key);
  }
  return keys;
}

TEST(Incremental, TablesSayWhatChanged) {
  for (std::uint32_t seed = 100; seed < 120; ++seed) {
    History history(seed);
    Compiler compiler({});
    auto before = std::make_shared<const LbTables>();
    for (int step = 0; step < 100; ++step) {
      history.step();
      const auto now = compiler.compile(history.snapshot(), history.overlay(), kNow);
      if (now == before) continue;
      ASSERT_EQ(now->changed.services, differing(before->services, now->services)) << step;
      ASSERT_EQ(now->changed.clusters, differing(before->clusters, now->clusters)) << step;
      before = now;
    }
  }
}

// The same history and the same times for two compilers: to one it is said what changed.
TEST(Incremental, WhatDependsOnAChangeIsFound) {
  for (std::uint32_t seed = 200; seed < 240; ++seed) {
    History history(seed);
    Compiler told({});
    Compiler looking({});
    (void)told.compile(history.snapshot(), history.overlay(), kNow);
    for (int step = 0; step < 100; ++step) {
      const Changes changed = history.step();
      const Nanos now = kNow + std::chrono::milliseconds(step * 700);
      const auto some = told.compile(history.snapshot(), history.overlay(), changed, now);
      const auto all = looking.compile(history.snapshot(), history.overlay(), now);
      ASSERT_TRUE(sameTables(*some, *all)) << "seed " << seed << " step " << step;
      ASSERT_EQ(told.nextChange(), looking.nextChange());
    }
  }
}

// A cluster that is not named is not looked at: that is what the names are for.
TEST(Incremental, WhatIsNotNamedIsNotLookedAt) {
  History history(7);
  for (int i = 0; i < 50; ++i) history.step();
  Compiler compiler({});
  const auto before = compiler.compile(history.snapshot(), history.overlay(), kNow);
  for (int i = 0; i < 50; ++i) history.step();
  EXPECT_EQ(compiler.compile(history.snapshot(), history.overlay(), Changes{}, kNow), before);
  EXPECT_NE(compiler.compile(history.snapshot(), history.overlay(), kNow), before);
}

TEST(Incremental, NothingChangedGivesTheSameTables) {
  History history(7);
  for (int i = 0; i < 50; ++i) history.step();
  Compiler compiler({});
  const auto before = compiler.compile(history.snapshot(), history.overlay(), kNow);
  EXPECT_FALSE(before->services.empty());
  EXPECT_EQ(compiler.compile(history.snapshot(), history.overlay(), kNow), before);
}

}  // namespace
}  // namespace sockmesh
