// SPDX-License-Identifier: Apache-2.0
// A cluster without traffic costs nothing, and nobody can tell: whatever happens in it later
// happens at the moment at which Envoy's sweep would have done it.
#include <gtest/gtest.h>

#include <set>

#include "health/resting_clusters.h"
#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Endpoints are judged by their failures of an interval, of which there must be ten.
OutlierDetection byPercentage() {
  OutlierDetection settings;
  settings.consecutive5xx = 0;
  settings.consecutiveGatewayFailure = 0;
  settings.maxEjectionPercent = 100;
  settings.enforcingSuccessRate = 0;
  settings.enforcingFailurePercentage = 100;
  settings.failurePercentageMinimumHosts = 1;
  settings.failurePercentageRequestVolume = 10;
  return settings;
}

OutlierDetection consecutive() {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  settings.consecutiveGatewayFailure = 0;
  return settings;
}

// How many endpoint states this many sweeps read.
std::size_t readsOf(Node& node, int sweeps) {
  const std::size_t before = node.lines.reads();
  for (int i = 0; i < sweeps; ++i) node.sweep();
  return node.lines.reads() - before;
}

// ---- what it costs ----

TEST(Resting, WithoutTrafficNoStateIsRead) {
  Node node(consecutive(), 1000);
  EXPECT_EQ(readsOf(node, 5), 0u);
  EXPECT_EQ(node.detector.nextSweep(), seconds(61)) << "an interval apart";
}

TEST(Resting, ASweepReadsTheEndpointsThatHadTraffic) {
  Node node(consecutive(), 1000);
  for (int i = 1; i <= 10; ++i) node.succeed(i * 50);
  const std::size_t first = readsOf(node, 1);
  EXPECT_GE(first, 10u);
  EXPECT_LE(first, 30u);
  // Once more: their outcomes may have been counted after the look.
  EXPECT_GE(readsOf(node, 1), 10u);
  EXPECT_EQ(readsOf(node, 3), 0u);
}

TEST(Resting, AfterAnEjectionItRestsOnceTheMultiplierIsGone) {
  Node node(consecutive(), 100);
  for (int i = 0; i < 2; ++i) {
    node.fail(1, 5);
    ASSERT_TRUE(node.ejected(1));
    node.advance(seconds(70));
    ASSERT_FALSE(node.ejected(1)) << i;
  }
  node.fail(1, 5);
  ASSERT_EQ(node.state(1).multiplier, 1u) << "it had decayed";
  node.advance(seconds(120));
  EXPECT_FALSE(node.ejected(1));
  EXPECT_EQ(node.state(1).multiplier, 0u) << "it goes on decaying without traffic";
  EXPECT_EQ(readsOf(node, 5), 0u);
}

TEST(Resting, AChangeOfEndpointsDoesNotEndIt) {
  Node node(consecutive(), 100);
  node.clock.set(seconds(4));
  node.configure(node.resource, hosts(101));
  EXPECT_EQ(node.detector.nextSweep(), seconds(11)) << "as if nothing had changed";
  EXPECT_EQ(readsOf(node, 3), 0u);
}

// ---- what nobody can tell ----

TEST(Resting, WhatComesAfterALongRestIsJudgedAtTheNextSweep) {
  Node node(byPercentage(), 5);
  node.advance(seconds(1000));
  node.clock.set(seconds(1003));
  node.fail(2, 10);
  EXPECT_EQ(node.detector.nextSweep(), seconds(1011));
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector{2});
  EXPECT_EQ(node.events.at(0).at, seconds(1011));
}

TEST(Resting, AnIntervalEndsBetweenTwoOutcomesAlsoWhenItBegan) {
  Node node(byPercentage(), 5);
  node.advance(seconds(100));
  node.clock.set(seconds(110));
  node.fail(2, 9);
  node.advance(seconds(2));
  node.fail(2, 9);
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty()) << "nine in each interval";
  node.fail(2, 10);
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector{2});
}

TEST(Resting, LostHintsAreFoundByTheSweep) {
  Node node(consecutive(), 3);
  node.advance(seconds(100));
  node.hints = false;
  node.fail(3, 5);
  node.sweep();
  EXPECT_TRUE(node.inOverlay(3));
  node.advance(seconds(40));
  EXPECT_FALSE(node.ejected(3)) << "and it returns without any traffic";
  EXPECT_FALSE(node.inOverlay(3));
}

// A program may have seen a mark just before a sweep took it, and count its outcome after the
// sweep's look.
TEST(Resting, AnOutcomeWhoseMarkWasTakenBeforeItWasCountedIsNotLost) {
  Node node(byPercentage(), 5);
  node.succeed(2);
  node.sweep();
  node.state(2).outcomes[0].failed += 20;  // without a mark
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector{2});
}

TEST(Resting, AMarkWithoutTheClustersBitIsFoundByTheNextAgent) {
  Node node(byPercentage(), 5);
  // An agent that was killed between the two.
  node.succeed(2);
  node.state(2).unswept = 0;
  Breather never;
  [[maybe_unused]] const auto taken = node.lines.takeMarked(kC, never);
  node.state(2).unswept = 1;
  OutlierDetector next(node.lines, [](const EjectionEvent&) {});
  next.watch({{kC, {node.resource, node.assignment}}}, node.clock.monotonic());
  node.clock.set(*next.nextSweep());
  next.sweep(node.clock.monotonic());
  EXPECT_EQ(node.state(2).unswept, 0) << "it was swept, so traffic is seen again";
}

TEST(Resting, ACountThatIsWrongIsPutRightWithoutTraffic) {
  Node node(consecutive(), 3);
  node.advance(seconds(50));
  node.lines.state(kC).ejected = 3;
  node.sweep();
  EXPECT_EQ(node.lines.state(kC).ejected, 0u);
}

TEST(Resting, ANumberMayGoToAnotherCluster) {
  Node node(consecutive(), 2);
  const auto other = cluster(byPercentage(), "a");  // before "c" in order
  node.lines.giveNumber("a", node.lines.clusterNumber(kC));
  node.lines.configure(*other, *node.assignment);
  node.detector.watch({{"a", {other, node.assignment}}, {kC, {}}}, node.clock.monotonic());
  node.lines.outcome("a", host(1), kClient, false, [](auto, auto) {});
  const std::size_t before = node.lines.reads();
  node.sweep();
  EXPECT_GT(node.lines.reads(), before) << "it had traffic";
}

// ---- groups ----

constexpr Nanos kInterval = seconds(10);

class Groups : public testing::Test {
 protected:
  // All clusters that are swept at this moment, with these bits set.
  std::set<std::uint32_t> stirred(Nanos now, std::uint64_t bits) {
    std::set<std::uint32_t> numbers;
    resting_.eachStirred(
        now,
        [&](std::uint32_t) {
          ++looks_;
          return bits;
        },
        [&](std::uint32_t number) { numbers.insert(number); });
    resting_.moveOn(now);
    return numbers;
  }

  RestingClusters resting_;
  std::size_t looks_ = 0;
};

TEST_F(Groups, AreSweptByTheWord) {
  for (std::uint32_t i = 1; i <= 100000; ++i) resting_.add(i, seconds(10), seconds(10));
  EXPECT_TRUE(stirred(seconds(9), ~0ULL).empty());
  EXPECT_EQ(stirred(seconds(10), 0).size(), 0u);
  EXPECT_LE(looks_, 100000u / 64 + 1);
  EXPECT_EQ(resting_.nextDue(), seconds(20));
  EXPECT_EQ(stirred(seconds(20), 1ULL << 5).size(), 100000u / 64 + 1);
  EXPECT_EQ(stirred(seconds(30), ~0ULL).size(), 100000u);
}

TEST_F(Groups, AreFewHoweverManyMomentsThereAre) {
  // In order, backwards and in any order.
  for (const int step : {1, 9999, 7919}) {
    resting_ = {};
    std::set<const RestingClusters::Group*> groups;
    for (int i = 1; i <= 10000; ++i) {
      const Nanos due = seconds(10) + milliseconds(std::int64_t{i} * step % 10000);
      const auto& group = resting_.add(static_cast<std::uint32_t>(i), due, kInterval);
      groups.insert(&group);
      ASSERT_LE(group.due, due) << "never late";
      ASSERT_GE(group.due, due - kInterval / RestingClusters::kSpread);
    }
    EXPECT_LE(groups.size(), 2u * RestingClusters::kSpread + 1) << step;
  }
}

TEST_F(Groups, HaveOneInterval) {
  resting_.add(1, seconds(10), seconds(10));
  resting_.add(2, seconds(10), seconds(3));
  EXPECT_EQ(stirred(seconds(10), ~0ULL), (std::set{1u, 2u}));
  EXPECT_EQ(resting_.nextDue(), seconds(13));
  EXPECT_EQ(stirred(seconds(13), ~0ULL), std::set{2u});
}

TEST_F(Groups, EndWithTheirLastCluster) {
  auto& group = resting_.add(1, seconds(10), seconds(10));
  EXPECT_EQ(&resting_.add(200, seconds(10), seconds(10)), &group);
  stirred(seconds(10), 0);
  EXPECT_EQ(group.due, seconds(20)) << "it moved on";
  resting_.remove(1, group);
  EXPECT_EQ(stirred(seconds(20), ~0ULL), std::set{200u});
  resting_.remove(200, group);
  EXPECT_EQ(resting_.nextDue(), std::nullopt);
}

TEST_F(Groups, AreCheckedWholeOverTime) {
  for (std::uint32_t i = 1; i <= 300; ++i) resting_.add(i, seconds(10), seconds(10));
  std::set<std::uint32_t> seen;
  for (int sweep = 1; sweep <= 5; ++sweep) {
    std::size_t now = 0;
    resting_.eachInTurn(seconds(10 * sweep), [&](std::uint32_t number) {
      seen.insert(number);
      ++now;
    });
    EXPECT_LE(now, 64u);
    resting_.moveOn(seconds(10 * sweep));
  }
  EXPECT_EQ(seen.size(), 300u);
}

}  // namespace
}  // namespace sockmesh
