// SPDX-License-Identifier: Apache-2.0
// Round robin's order and counts, and alias tables' shares.
#include "lb/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "lb/cell_table.h"

namespace sockmesh {
namespace {

std::string letters(const std::vector<std::uint32_t>& picks) {
  std::string text;
  for (const std::uint32_t pick : picks) text += static_cast<char>('A' + pick);
  return text;
}

std::vector<double> sharesOf(const std::vector<std::uint32_t>& picks, std::size_t entries) {
  std::vector<double> shares(entries, 0.0);
  for (const std::uint32_t pick : picks) shares[pick] += 1.0 / static_cast<double>(picks.size());
  return shares;
}

TEST(Schedule, FollowsEnvoysEdfOrder) {
  EXPECT_EQ(letters(edfOrder(std::vector<double>{5, 3, 2}, 10)), "ABACABACBA");
  EXPECT_EQ(letters(edfOrder(std::vector<double>{1, 2}, 6)), "BABBAB");
  EXPECT_EQ(letters(edfOrder(std::vector<double>{4, 1}, 10)), "AAABAAAABA");
  EXPECT_EQ(letters(edfOrder(std::vector<double>{1, 1, 1}, 6)), "ABCABC");
}

TEST(Schedule, CycleIsAsShortAsTheWeightsAllow) {
  EXPECT_EQ(letters(schedule(std::vector<double>{500, 300, 200}).value()), "ABACABACBA");
  EXPECT_EQ(letters(schedule(std::vector<double>{7, 7}).value()), "AB");
  EXPECT_EQ(schedule(std::vector<double>{1, 65535})->size(), 65536U);
  EXPECT_EQ(schedule(std::vector<double>{4294967295.0, 4294967295.0})->size(), 2U);
  EXPECT_EQ(schedule(std::vector<double>{0.3})->size(), 1U);
}

TEST(Schedule, FractionsBecomeWholeCycles) {
  // One host at the start of its slow start, one in the middle.
  EXPECT_EQ(cycleCounts(std::vector<double>{1, 0.25, 0.5}), (std::vector<std::uint32_t>{4, 1, 2}));
  EXPECT_EQ(cycleCounts(std::vector<double>{1, 1.4}), (std::vector<std::uint32_t>{5, 7}));
}

TEST(Schedule, SharesAreWithinTheToleranceWhereThereIsASchedule) {
  std::mt19937 random(3);
  int made = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<double> weights(2 + random() % 30);
    for (double& weight : weights) weight = 1e5 + static_cast<double>(random() % 10000000);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const auto picks = schedule(weights);
    if (!picks) continue;
    ++made;
    ASSERT_LE(picks->size(), kMaxSchedule);
    const auto shares = sharesOf(*picks, weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double wanted = weights[i] / sum;
      ASSERT_NEAR(shares[i], wanted, kScheduleTolerance * wanted * 1.0001);
    }
  }
  EXPECT_GT(made, 200);
}

TEST(Schedule, RefusesWhatItCannotHold) {
  EXPECT_EQ(schedule(std::vector<double>{1, 1000003}), std::nullopt);
  EXPECT_EQ(nestedSchedule(std::vector<LocalityWeights>{{1, {1}}, {1000003, {1}}}), std::nullopt);
}

TEST(Schedule, NestedGoesByLocalityThenByHost) {
  const std::vector<LocalityWeights> localities = {{80, {1, 1, 1}}, {20, {3, 1}}};
  const auto picks = nestedSchedule(localities).value();
  EXPECT_EQ(picks.size(), 60U);  // 5 * lcm(3 / gcd(3, 4), 4 / gcd(4, 1))
  const auto shares = sharesOf(picks, 5);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(shares[i], 0.8 / 3, 1e-12);
  EXPECT_NEAR(shares[3], 0.15, 1e-12);
  EXPECT_NEAR(shares[4], 0.05, 1e-12);
  EXPECT_EQ(letters({picks.begin(), picks.begin() + 5}), "ABCDA");
}

TEST(Alias, SharesAreExactToTheUnitOfACell) {
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    std::vector<double> weights(1 + random() % 50);
    for (double& weight : weights) weight = random() % 4 == 0 ? 0 : random() % 1000;
    weights[random() % weights.size()] = 1e-3 + random() % 1000000;
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const auto shares = aliasShares(aliasTable(weights), weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_NEAR(shares[i], weights[i] / sum, std::ldexp(1.0, -32));
      ASSERT_TRUE(weights[i] > 0 || shares[i] == 0);
    }
  }
}

TEST(Alias, FullCellsNeverLookElsewhere) {
  const CellTable table = aliasTable(std::vector<double>{3, 3, 3});
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(table.cells[i].alias.threshold, UINT32_MAX);
    EXPECT_EQ(table.cells[i].alias.here, i);
    EXPECT_EQ(table.cells[i].alias.other, i);
  }
}

TEST(CellPool, KeepsOneObjectForEqualContent) {
  CellPool pool;
  const auto a = pool.share(wordTable(std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(a, pool.share(wordTable(std::vector<std::uint32_t>{0, 1, 2})));
  // The same cells, except that one more word counts.
  EXPECT_NE(a, pool.share(wordTable(std::vector<std::uint32_t>{0, 1, 2, 0})));
  for (std::uint32_t i = 0; i < 5000; ++i) (void)pool.share(wordTable(std::vector{i}));
  EXPECT_EQ(a, pool.share(wordTable(std::vector<std::uint32_t>{0, 1, 2})));
}

}  // namespace
}  // namespace sockmesh
