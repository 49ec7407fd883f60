// SPDX-License-Identifier: Apache-2.0
// Consecutive detectors, the common ejection step, length and unejection: the kernel's rules and
// the agent's sweeps together.
#include <gtest/gtest.h>

#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

OutlierDetection all() {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  return settings;
}

TEST(Consecutive, FifthFailureInARowEjectsAtOnce) {
  Node node(all(), 3);
  node.fail(1, 4);
  node.succeed(1);
  node.fail(1, 4);
  EXPECT_FALSE(node.ejected(1));
  node.fail(1);
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
  EXPECT_TRUE(node.inOverlay(1));
  // Both detectors saw it, gateway failure first, which enforces nothing by default.
  EXPECT_EQ(node.detected(Detector::kConsecutiveGatewayFailure), 1U);
  EXPECT_EQ(node.enforced(Detector::kConsecutiveGatewayFailure), 0U);
  EXPECT_EQ(node.detected(Detector::kConsecutive5xx), 1U);
  EXPECT_EQ(node.enforced(Detector::kConsecutive5xx), 1U);
}

TEST(Consecutive, ThresholdZeroIsOff) {
  auto settings = all();
  settings.consecutive5xx = settings.consecutiveGatewayFailure = 0;
  Node node(settings, 1);
  node.fail(1, 100);
  EXPECT_FALSE(node.ejected(1));
}

TEST(Consecutive, EachDetectorCountsAnewAfterEachDetection) {
  auto settings = all();
  settings.consecutive5xx = 3;
  settings.enforcingConsecutive5xx = 0;
  settings.consecutiveGatewayFailure = 5;
  Node node(settings, 1);
  node.fail(1, 30);
  EXPECT_EQ(node.detected(Detector::kConsecutive5xx), 10U);
  EXPECT_EQ(node.detected(Detector::kConsecutiveGatewayFailure), 6U);
  EXPECT_EQ(node.events.size(), 16U);
}

TEST(Consecutive, SplitModeUsesTheLocalOriginDetector) {
  auto settings = all();
  settings.splitExternalLocalOriginErrors = true;
  settings.consecutive5xx = 1;
  settings.consecutiveGatewayFailure = 1;
  settings.consecutiveLocalOriginFailure = 4;
  Node node(settings, 1);
  node.fail(1, 3);
  EXPECT_FALSE(node.ejected(1));
  node.fail(1);
  EXPECT_TRUE(node.ejected(1));
  EXPECT_EQ(node.enforced(Detector::kConsecutiveLocalOriginFailure), 1U);
  EXPECT_EQ(node.detected(Detector::kConsecutive5xx), 0U);
  EXPECT_EQ(node.events.at(0).detector, Detector::kConsecutiveLocalOriginFailure);
}

TEST(Consecutive, FailuresWhileEjectedAreDroppedAndTheReturnForgetsThem) {
  Node node(all(), 2);
  node.fail(1, 12);
  EXPECT_EQ(node.detected(Detector::kConsecutive5xx), 1U);
  node.advance(seconds(40));
  ASSERT_FALSE(node.ejected(1));
  node.fail(1, 4);
  EXPECT_FALSE(node.ejected(1));
  node.fail(1);
  EXPECT_TRUE(node.ejected(1));
}

// The table of section "common ejection step": how many of N are ejected at once.
TEST(Limit, IsInclusiveAndWithoutAtLeastOne) {
  struct Row {
    int hosts;
    int at10, at20, at34, at50, at100;
  };
  for (const Row& row : {Row{1, 0, 0, 0, 0, 1}, Row{2, 0, 0, 0, 1, 2}, Row{3, 0, 0, 1, 1, 3},
                         Row{5, 0, 1, 1, 2, 5}, Row{9, 0, 1, 3, 4, 9}, Row{10, 1, 2, 3, 5, 10},
                         Row{19, 1, 3, 6, 9, 19}, Row{20, 2, 4, 6, 10, 20}}) {
    for (const auto& [percent, expected] : {std::pair{10, row.at10},
                                            {20, row.at20},
                                            {34, row.at34},
                                            {50, row.at50},
                                            {100, row.at100}}) {
      OutlierDetection settings;
      settings.maxEjectionPercent = static_cast<std::uint32_t>(percent);
      settings.enforcingConsecutiveGatewayFailure = 100;
      settings.consecutive5xx = 0;
      Node node(settings, row.hosts);
      for (int i = 1; i <= row.hosts; ++i) node.fail(i, 5);
      EXPECT_EQ(node.ejectedHosts().size(), static_cast<std::size_t>(expected))
          << percent << " % of " << row.hosts;
      EXPECT_EQ(node.stats().ejections_overflow, static_cast<std::uint64_t>(row.hosts - expected));
      EXPECT_EQ(node.detector.warnings().contains(kC), expected == 0);
    }
  }
}

TEST(Limit, AlwaysEjectOneHostEjectsOne) {
  OutlierDetection settings;
  settings.alwaysEjectOneHost = true;
  Node node(settings, 3);
  for (int i = 1; i <= 3; ++i) node.fail(i, 5);
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
  node.advance(seconds(30));
  node.fail(3, 5);
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{3});
}

TEST(Limit, OverflowComesBeforeTheDiceAndIsDetectedAgainAfterFiveMore) {
  OutlierDetection settings;
  settings.enforcingConsecutive5xx = 0;
  Node node(settings, 3);
  node.fail(1, 10);
  EXPECT_EQ(node.detected(Detector::kConsecutive5xx), 2U);
  EXPECT_EQ(node.stats().ejections_overflow, 4U);  // both detectors
  EXPECT_TRUE(node.events.empty());
}

TEST(Limit, RemovedEndpointsMakeRoom) {
  OutlierDetection settings;
  settings.maxEjectionPercent = 25;
  Node node(settings, 4);
  node.fail(1, 5);
  node.fail(2, 5);
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
  node.configure(node.resource, hosts({2, 3, 4, 5}));
  EXPECT_FALSE(node.inOverlay(1));
  node.fail(2, 5);
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{2});
}

TEST(Dice, EnforceAsOftenAsAsked) {
  for (const std::uint32_t percent : {0U, 50U, 100U}) {
    auto settings = all();
    settings.consecutive5xx = 1;
    settings.consecutiveGatewayFailure = 0;
    settings.enforcingConsecutive5xx = percent;
    constexpr int kHosts = 2000;
    Node node(settings, kHosts);
    node.hints = false;
    for (int i = 1; i <= kHosts; ++i) node.fail(i);
    const auto ejected = node.ejectedHosts().size();
    EXPECT_EQ(node.detected(Detector::kConsecutive5xx), static_cast<std::uint64_t>(kHosts));
    EXPECT_EQ(node.enforced(Detector::kConsecutive5xx), ejected);
    EXPECT_EQ(node.state(1).ejections, node.ejected(1) ? 1U : 0U);
    EXPECT_EQ(node.lines.state(kC).ejected, ejected);
    EXPECT_NEAR(static_cast<double>(ejected), kHosts * percent / 100.0, percent == 50 ? 100 : 0);
  }
}

// ---- length ----

TEST(Length, GrowsByBaseUpToTheMaximumAndSaturatesAtEleven) {
  auto settings = all();
  settings.interval = milliseconds(1);  // returns on time, and ejected again at once: no decay
  settings.maxEjectionTime = seconds(300);
  Node node(settings, 1);
  for (std::uint32_t n = 1; n <= 14; ++n) {
    node.fail(1, 5);
    ASSERT_TRUE(node.ejected(1));
    EXPECT_EQ(node.state(1).multiplier, std::min(n, 11U));
    const Nanos length(node.state(1).ejected_until_ns - node.state(1).ejected_at_ns);
    EXPECT_EQ(length, seconds(30) * std::min(n, 10U));
    node.clock.set(Nanos(node.state(1).ejected_until_ns));
    node.detector.sweep(node.clock.monotonic());
    EXPECT_FALSE(node.ejected(1));
  }
  EXPECT_EQ(node.state(1).ejections, 14U);
}

TEST(Length, MaximumThatIsNoMultipleOfTheBase) {
  auto settings = all();
  settings.maxEjectionTime = seconds(50);
  settings.interval = milliseconds(1);
  Node node(settings, 1);
  // ceil((50 + 30) / 30)
  for (const std::uint32_t multiplier : {1U, 2U, 3U, 3U}) {
    node.fail(1, 5);
    EXPECT_EQ(node.state(1).multiplier, multiplier);
    EXPECT_EQ(Nanos(node.state(1).ejected_until_ns) - node.clock.monotonic(),
              seconds(multiplier == 1 ? 30 : 50));
    node.clock.set(Nanos(node.state(1).ejected_until_ns));
    node.detector.sweep(node.clock.monotonic());
  }
}

TEST(Length, JitterIsWholeMillisecondsBothEndsIncluded) {
  auto settings = all();
  settings.consecutive5xx = 1;
  settings.maxEjectionTimeJitter = milliseconds(3);
  constexpr int kHosts = 400;
  Node node(settings, kHosts);
  std::map<std::int64_t, int> seen;
  for (int i = 1; i <= kHosts; ++i) {
    node.hints = false;
    node.fail(i);
    const Nanos jitter =
        Nanos(node.state(i).ejected_until_ns) - node.clock.monotonic() - seconds(30);
    ++seen[jitter.count()];
  }
  ASSERT_EQ(seen.size(), 4U);
  for (int i = 0; i <= 3; ++i) EXPECT_NEAR(seen[i * 1000000], kHosts / 4.0, 40);
}

TEST(Return, OnlyInSweepsAndNotBeforeItsTime) {
  Node node(all(), 2);  // sweeps at 11, 21, 31, 41 s
  node.clock.set(seconds(2));
  node.fail(1, 5);  // until 32 s
  node.clock.set(seconds(31));
  node.detector.sweep(seconds(31));
  EXPECT_TRUE(node.ejected(1));
  node.clock.set(seconds(40));
  node.detector.sweep(seconds(40));  // not due
  EXPECT_TRUE(node.ejected(1));
  EXPECT_TRUE(node.inOverlay(1));
  node.sweep();
  EXPECT_EQ(node.clock.monotonic(), seconds(41));
  EXPECT_FALSE(node.ejected(1));
  EXPECT_FALSE(node.inOverlay(1));
  EXPECT_EQ(node.lines.state(kC).ejected, 0U);
}

TEST(Return, AtTheVeryTime) {
  auto settings = all();
  settings.interval = seconds(15);
  Node node(settings, 2);
  node.fail(1, 5);
  node.advance(seconds(30) - Nanos(1));
  EXPECT_TRUE(node.ejected(1));
  node.advance(Nanos(1));
  EXPECT_FALSE(node.ejected(1));
}

TEST(Return, LateSweepsArmFromTheirOwnTime) {
  Node node(all(), 1);
  node.clock.set(seconds(14));
  node.detector.sweep(seconds(14));
  EXPECT_EQ(node.detector.nextSweep(), seconds(24));
}

TEST(Decay, OneStepASweepOnceBackForAnInterval) {
  Node node(all(), 2);
  node.fail(1, 5);
  node.state(1).multiplier = 3;
  node.advance(seconds(30));
  ASSERT_FALSE(node.ejected(1));
  EXPECT_EQ(node.state(1).multiplier, 3U);
  for (const std::uint32_t multiplier : {2U, 1U, 0U, 0U}) {
    node.sweep();
    EXPECT_EQ(node.state(1).multiplier, multiplier);
  }
  node.fail(1, 5);
  EXPECT_EQ(node.state(1).multiplier, 1U);
}

TEST(Decay, NotOfThoseEjectedOrNeverEjected) {
  Node node(all(), 2);
  node.state(2).multiplier = 2;  // never ejected
  node.fail(1, 5);
  node.advance(seconds(29));
  EXPECT_EQ(node.state(1).multiplier, 1U);
  EXPECT_EQ(node.state(2).multiplier, 2U);
}

TEST(Decay, AReturnByTheKernelCountsFromItsOwnTime) {
  Node node(all(), 1);
  node.fail(1, 5);
  node.clock.set(seconds(31) + milliseconds(1));
  node.succeed(1);  // due, so the kernel takes it back
  EXPECT_FALSE(node.ejected(1));
  node.clock.set(seconds(41));
  node.detector.sweep(seconds(41));  // back for 9.999 s
  EXPECT_EQ(node.state(1).multiplier, 1U);
  node.sweep();
  EXPECT_EQ(node.state(1).multiplier, 0U);
}

}  // namespace
}  // namespace sockmesh
