// SPDX-License-Identifier: Apache-2.0
// A compiler with a history gives what a fresh compiler gives, and keeps what did not change.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "lb/compiler.h"
#include "unit/lb/build.h"
#include "unit/lb/random_history.h"

namespace sockmesh {
namespace {

using namespace test;

constexpr Nanos kNow = std::chrono::seconds(1);

bool sameConflicts(const LbTables& a, const LbTables& b) {
  return std::ranges::equal(*a.conflicts, *b.conflicts, [](const auto& x, const auto& y) {
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

TEST(Incremental, AHistoryLeavesNoTraces) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    RandomHistory history(seed);
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
template <typename Key, typename Map>
std::set<Key> differing(const Map& before, const Map& now) {
  std::set<Key> keys;
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
    RandomHistory history(seed);
    Compiler compiler({});
    auto before = std::make_shared<const LbTables>();
    for (int step = 0; step < 100; ++step) {
      history.step();
      const auto now = compiler.compile(history.snapshot(), history.overlay(), kNow);
      if (now == before) continue;
      ASSERT_TRUE(step == 0 || now->before == before.get());
      ASSERT_EQ(now->changed.services, differing<VipKey>(before->services, now->services)) << step;
      ASSERT_EQ(now->changed.clusters, differing<std::string>(before->clusters, now->clusters))
          << step;
      before = now;
    }
  }
}

// The same history and the same times for two compilers: to one it is said what changed.
TEST(Incremental, WhatDependsOnAChangeIsFound) {
  for (std::uint32_t seed = 200; seed < 240; ++seed) {
    RandomHistory history(seed);
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
  RandomHistory history(7);
  for (int i = 0; i < 50; ++i) history.step();
  Compiler compiler({});
  const auto before = compiler.compile(history.snapshot(), history.overlay(), kNow);
  for (int i = 0; i < 50; ++i) history.step();
  EXPECT_EQ(compiler.compile(history.snapshot(), history.overlay(), Changes{}, kNow), before);
  EXPECT_NE(compiler.compile(history.snapshot(), history.overlay(), kNow), before);
}

TEST(Incremental, NothingChangedGivesTheSameTables) {
  RandomHistory history(7);
  for (int i = 0; i < 50; ++i) history.step();
  Compiler compiler({});
  const auto before = compiler.compile(history.snapshot(), history.overlay(), kNow);
  EXPECT_FALSE(before->services.empty());
  EXPECT_EQ(compiler.compile(history.snapshot(), history.overlay(), kNow), before);
}

}  // namespace
}  // namespace sockmesh
