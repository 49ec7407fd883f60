// SPDX-License-Identifier: Apache-2.0
// However many endpoints a cluster has, the detector lets others have their turns.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "unit/health/node.h"

namespace sockmesh {
namespace {

constexpr int kHosts = 5000;

OutlierDetection settings() {
  OutlierDetection out;
  out.interval = std::chrono::seconds(10);
  out.baseEjectionTime = std::chrono::seconds(30);
  out.maxEjectionPercent = 100;
  return out;
}

// Calls `work` with a Breather that pauses wherever it may; returns the largest number of endpoint
// states that were read between two pauses.
template <typename Work>
std::size_t mostBetweenPauses(const FakeStateAccess& lines, const Work& work) {
  std::size_t most = 0, seen = lines.reads();
  const auto look = [&] {
    most = std::max(most, lines.reads() - std::exchange(seen, lines.reads()));
  };
  Breather breathe(Nanos(0), look);
  work(breathe);
  look();
  return most;
}

TEST(Turns, NoStepOfTheDetectorGrowsWithTheCluster) {
  Node node(settings(), kHosts);
  for (int i = 1; i <= kHosts; ++i) node.succeed(i);
  node.fail(1, 5);
  node.fail(kHosts, 5);
  const std::size_t before = node.lines.reads();
  const auto watch = [&](Breather& breathe) {
    node.detector.watch({{kC, {node.resource, hosts(kHosts)}}}, node.clock.monotonic(), breathe);
  };
  EXPECT_LE(mostBetweenPauses(node.lines, watch), 64u);
  node.clock.set(*node.detector.nextSweep());
  const auto sweep = [&](Breather& breathe) {
    node.detector.sweep(node.clock.monotonic(), breathe);
  };
  EXPECT_LE(mostBetweenPauses(node.lines, sweep), 64u);
  EXPECT_GE(node.lines.reads() - before, 3u * kHosts) << "each of them was looked at";
  EXPECT_EQ(node.ejectedHosts(), (std::vector{1, kHosts}));
  EXPECT_TRUE(node.inOverlay(1));
}

TEST(Turns, AHintCostsOneLook) {
  Node node(settings(), kHosts);
  node.hints = false;
  node.fail(7, 5);
  const std::size_t before = node.lines.reads();
  node.detector.refresh(kC, host(7), node.clock.monotonic());
  EXPECT_LE(node.lines.reads() - before, 1u);
  EXPECT_TRUE(node.inOverlay(7));
}

TEST(Turns, WhatIsPublishedStaysWholeWhileASweepPauses) {
  Node node(settings(), kHosts);
  node.fail(3, 5);
  const auto before = node.detector.overlay();
  node.clock.set(node.clock.monotonic() + std::chrono::seconds(60));
  Breather breathe(Nanos(0), [&] { EXPECT_EQ(node.detector.overlay(), before); });
  node.detector.sweep(node.clock.monotonic(), breathe);
  EXPECT_FALSE(node.inOverlay(3)) << "its time is over";
}

TEST(Turns, HostsAreCountedNoFurtherThanTheLimit) {
  Node node(settings(), kHosts);
  EXPECT_GT(node.detector.hostsOf({kC}, 2000), 2000u);
  EXPECT_EQ(node.detector.hostsOf({"other"}, 2000), 1u);
  EXPECT_EQ(node.detector.hostsDue(node.clock.monotonic(), 2000), 0u);
  EXPECT_EQ(node.detector.hostsDue(*node.detector.nextSweep(), 2000), 0u) << "no traffic";
  node.succeed(1);
  EXPECT_GT(node.detector.hostsDue(*node.detector.nextSweep(), 2000), 2000u);
  node.sweep();
  EXPECT_GT(node.detector.hostsDue(*node.detector.nextSweep(), 2000), 2000u);
}

}  // namespace
}  // namespace sockmesh
