// SPDX-License-Identifier: Apache-2.0
// What one hash leads to, also if a split draws a part of it at random.
#include "lb/share.h"

#include <gtest/gtest.h>

#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

constexpr std::uint64_t kHash = 0x0123456789abcdef;

TEST(ChoicesByHash, OneLegIsOneChoice) {
  // Two of four hosts of the first priority are unhealthy: the hash also chooses the priority.
  const auto given = assignment({locality("a", 0, 1, 4, 2), locality("a", 0, 11, 4, 4, 1)});
  for (const LbPolicy policy : {LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    const auto service = serviceOf(cluster("c", policy), given, true);
    for (std::uint64_t hash = kHash; hash < kHash + 200; ++hash) {
      const auto choices = choicesByHash(*service, hash * 0x9e3779b97f4a7c15ULL);
      ASSERT_EQ(choices.size(), 1U);
      EXPECT_DOUBLE_EQ(choices[0].share, 1.0);
      EXPECT_GT(choices[0].group, 0U) << "the group with the hosts, not the one that led there";
      EXPECT_EQ(choices[0].endpoint, pickByHash(*service, hash * 0x9e3779b97f4a7c15ULL));
    }
  }
}

TEST(ChoicesByHash, ASplitHasOneForEachLegAndNoneWhereNothingIsHashed) {
  const auto given = assignment({locality("a", 0, 1, 3, 3)});
  const auto service = serviceOf({{cluster("maglev", LbPolicy::kMaglev), given, 3, {}},
                                  {cluster("plain"), given, 1, {}},
                                  {cluster("empty"), assignment({}), 4, {}}},
                                 true);
  const auto choices = choicesByHash(*service, kHash);
  ASSERT_EQ(choices.size(), 3U);
  EXPECT_NEAR(choices[0].share, 0.375, 1e-9);
  EXPECT_NE(choices[0].endpoint, nullptr);
  EXPECT_NEAR(choices[1].share, 0.125, 1e-9);
  EXPECT_EQ(choices[1].endpoint, nullptr) << "round robin";
  EXPECT_NEAR(choices[2].share, 0.5, 1e-9);
  EXPECT_EQ(choices[2].endpoint, nullptr) << "refused";
}

}  // namespace
}  // namespace sockmesh::test
