// SPDX-License-Identifier: Apache-2.0
// Success rate and failure percentage: the arithmetic, and a sweep's use of it.
#include "health/success_rate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::seconds;

std::vector<HostOutcomes> percents(const std::vector<unsigned>& rates) {
  std::vector<HostOutcomes> outcomes;
  for (const unsigned rate : rates) outcomes.push_back({rate, 100 - rate});
  return outcomes;
}

std::vector<std::size_t> outliers(const std::vector<HostOutcomes>& outcomes,
                                  const OutlierDetection& settings) {
  std::vector<std::size_t> found;
  for (const auto& outlier : statisticalOutliers(outcomes, outcomes.size(), settings))
    found.push_back(outlier.host);
  return found;
}

// Nothing but success rate.
OutlierDetection bySuccessRate() {
  OutlierDetection settings;
  settings.failurePercentageMinimumHosts = 1000;
  return settings;
}

OutlierDetection byFailurePercentage() {
  OutlierDetection settings;
  settings.successRateMinimumHosts = 1000;
  settings.enforcingFailurePercentage = 100;
  return settings;
}

TEST(SuccessRate, TheExample) {
  const auto found = statisticalOutliers(percents({50, 100, 100, 100, 100}), 5, bySuccessRate());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].host, 0U);
  EXPECT_EQ(found[0].detector, Detector::kSuccessRate);
  EXPECT_EQ(found[0].enforcingPercent, 100U);
  EXPECT_DOUBLE_EQ(found[0].rates.host, 50);
  EXPECT_DOUBLE_EQ(found[0].rates.average, 90);
  EXPECT_DOUBLE_EQ(found[0].rates.threshold, 52);
}

// k bad of n stand out iff sqrt((n - k) / k) > 1.9, however small the gap.
TEST(SuccessRate, WhoStandsOutDependsOnTheirShareAlone) {
  auto settings = bySuccessRate();
  settings.successRateMinimumHosts = 1;
  for (unsigned n = 2; n <= 30; ++n) {
    for (unsigned k = 1; k < n; ++k) {
      const bool expected = std::sqrt(double(n - k) / k) > 1.9;
      for (const unsigned bad : {0U, 60U, 99U}) {
        std::vector<unsigned> rates(n, 100);
        std::fill_n(rates.begin(), k, bad);
        EXPECT_EQ(outliers(percents(rates), settings).size(), expected ? k : 0)
            << k << " of " << n << " at " << bad;
      }
    }
  }
}

TEST(SuccessRate, MinimumCountsHostsWithVolume) {
  auto outcomes = percents({0, 100, 100, 100, 100});
  EXPECT_EQ(outliers(outcomes, bySuccessRate()), std::vector<std::size_t>{0});
  outcomes[4] = {99, 0};
  EXPECT_TRUE(outliers(outcomes, bySuccessRate()).empty());
  auto settings = bySuccessRate();
  settings.successRateRequestVolume = 99;
  EXPECT_EQ(outliers(outcomes, settings), std::vector<std::size_t>{0});
}

TEST(SuccessRate, HostsWithoutTrafficDoNotCountEvenWithVolumeZero) {
  auto settings = bySuccessRate();
  settings.successRateRequestVolume = 0;
  EXPECT_TRUE(outliers({{0, 1}, {1, 0}, {1, 0}, {1, 0}, {0, 0}}, settings).empty());
  EXPECT_EQ(outliers({{0, 1}, {1, 0}, {1, 0}, {1, 0}, {1, 0}}, settings).size(), 1U);
}

TEST(SuccessRate, ThresholdIsStrictlyBelow) {
  auto settings = bySuccessRate();
  settings.successRateStdevFactor = 2000;  // of the example: 90 - 2 * 20 = 50
  EXPECT_TRUE(outliers(percents({50, 100, 100, 100, 100}), settings).empty());
  settings.successRateStdevFactor = 1999;
  EXPECT_EQ(outliers(percents({50, 100, 100, 100, 100}), settings).size(), 1U);
}

TEST(FailurePercentage, AtLeastTheThreshold) {
  EXPECT_EQ(outliers(percents({15, 16, 100, 100, 0}), byFailurePercentage()),
            (std::vector<std::size_t>{0, 4}));
}

TEST(FailurePercentage, VolumeAndMinimumOfItsOwn) {
  EXPECT_EQ(outliers({{0, 50}, {0, 50}, {50, 0}, {50, 0}, {50, 0}}, byFailurePercentage()).size(),
            2U);
  EXPECT_TRUE(
      outliers({{0, 50}, {0, 50}, {50, 0}, {50, 0}, {49, 0}}, byFailurePercentage()).empty());
}

TEST(FailurePercentage, EarlyQuitNeedsFewerThanBothMinimums) {
  auto settings = byFailurePercentage();
  settings.failurePercentageMinimumHosts = 0;
  settings.failurePercentageRequestVolume = 1;
  EXPECT_EQ(outliers({{0, 1}}, settings).size(), 1U);
  settings.failurePercentageMinimumHosts = 2;
  EXPECT_TRUE(outliers({{0, 1}}, settings).empty());
}

TEST(Statistics, SuccessRateFirstAndAHostMayBeInBoth) {
  OutlierDetection settings;
  settings.splitExternalLocalOriginErrors = true;
  settings.enforcingLocalOriginSuccessRate = 1;
  settings.enforcingFailurePercentageLocalOrigin = 2;
  const auto found = statisticalOutliers(percents({100, 0, 100, 100, 100}), 5, settings);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].detector, Detector::kSuccessRateLocalOrigin);
  EXPECT_EQ(found[0].enforcingPercent, 1U);
  EXPECT_EQ(found[1].detector, Detector::kFailurePercentageLocalOrigin);
  EXPECT_EQ(found[1].enforcingPercent, 2U);
  EXPECT_EQ(found[1].host, 1U);
}

// ---- in a sweep ----

OutlierDetection statisticsOnly() {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  settings.consecutive5xx = settings.consecutiveGatewayFailure = 0;
  settings.consecutiveLocalOriginFailure = 0;
  return settings;
}

void serve(Node& node, int hosts, int bad, int failures) {
  for (int i = 1; i <= hosts; ++i) {
    node.fail(i, i == bad ? failures : 0);
    node.succeed(i, i == bad ? 100 - failures : 100);
  }
}

TEST(StatisticalSweep, EjectsWithRatesAndOnceForBothDetectors) {
  auto settings = statisticsOnly();
  settings.enforcingFailurePercentage = 100;
  Node node(settings, 5);
  serve(node, 5, 2, 100);
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{2});
  EXPECT_TRUE(node.inOverlay(2));
  EXPECT_EQ(node.enforced(Detector::kSuccessRate), 1U);
  EXPECT_EQ(node.detected(Detector::kFailurePercentage), 0U);
  EXPECT_EQ(node.lines.state(kC).ejected, 1U);
  ASSERT_EQ(node.events.size(), 1U);
  EXPECT_EQ(node.events[0].detector, Detector::kSuccessRate);
  ASSERT_TRUE(node.events[0].rates);
  EXPECT_DOUBLE_EQ(node.events[0].rates->average, 80);
  EXPECT_DOUBLE_EQ(node.events[0].rates->threshold, 4);
}

TEST(StatisticalSweep, WhatSuccessRateDoesNotEnforceFailurePercentageMay) {
  auto settings = statisticsOnly();
  settings.enforcingSuccessRate = 0;
  settings.enforcingFailurePercentage = 100;
  Node node(settings, 5);
  serve(node, 5, 2, 100);
  node.sweep();
  ASSERT_EQ(node.events.size(), 2U);
  EXPECT_FALSE(node.events[0].enforced);
  EXPECT_EQ(node.events[0].detector, Detector::kSuccessRate);
  EXPECT_EQ(node.events[0].ejections, 0U);
  EXPECT_TRUE(node.events[0].rates);
  EXPECT_TRUE(node.events[1].enforced);
  EXPECT_EQ(node.events[1].detector, Detector::kFailurePercentage);
  EXPECT_EQ(node.events[1].ejections, 1U);
}

TEST(StatisticalSweep, LimitHolds) {
  auto settings = statisticsOnly();
  settings.maxEjectionPercent = 10;
  Node node(settings, 10);
  serve(node, 10, 3, 50);
  node.fail(4, 100);
  node.sweep();  // both at 50 %: 2 of 10 stand out
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{3});
  EXPECT_EQ(node.stats().ejections_overflow, 1U);
}

TEST(StatisticalSweep, TwoOfTenButNotTwoOfNine) {
  for (const int n : {9, 10}) {
    Node node(statisticsOnly(), n);
    for (int i = 1; i <= n; ++i) {
      node.fail(i, i <= 2 ? 30 : 0);
      node.succeed(i, i <= 2 ? 70 : 100);
    }
    node.sweep();
    EXPECT_EQ(node.ejectedHosts().size(), n == 10 ? 2U : 0U);
  }
}

TEST(StatisticalSweep, IntervalsAreSeparate) {
  Node node(statisticsOnly(), 5);
  for (int i = 1; i <= 5; ++i) node.succeed(i, 60);
  node.sweep();
  node.fail(1, 60);
  for (int i = 2; i <= 5; ++i) node.succeed(i, 60);
  node.sweep();  // 60 each: below the volume of 100, though not together
  EXPECT_TRUE(node.ejectedHosts().empty());
  serve(node, 5, 1, 40);
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
}

TEST(StatisticalSweep, EjectedHostsAreIgnoredAndStartAfreshAfterwards) {
  auto settings = statisticsOnly();
  settings.consecutive5xx = 5;
  settings.baseEjectionTime = seconds(15);
  Node node(settings, 6);
  node.fail(1, 100);  // ejected until 16 s
  for (int i = 2; i <= 5; ++i) node.succeed(i, 100);
  node.sweep();  // 11 s: 4 with volume
  EXPECT_EQ(node.detected(Detector::kSuccessRate), 0U);
  for (int i = 2; i <= 6; ++i) node.succeed(i, 100);
  node.sweep();  // 21 s: back, and the failures of before are of another interval
  EXPECT_TRUE(node.ejectedHosts().empty());
  EXPECT_EQ(node.detected(Detector::kSuccessRate), 0U);
}

TEST(StatisticalSweep, AHostThatReturnsInTheSweepIsEvaluatedInIt) {
  auto settings = statisticsOnly();
  settings.consecutive5xx = 5;
  settings.baseEjectionTime = seconds(15);
  Node node(settings, 5);
  node.fail(1, 5);
  node.sweep();
  node.fail(1, 100);  // in-flight connects, at 11 s
  for (int i = 2; i <= 5; ++i) node.succeed(i, 100);
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
  EXPECT_EQ(node.enforced(Detector::kSuccessRate), 1U);
  ASSERT_EQ(node.events.size(), 3U);
  EXPECT_EQ(node.events[1].action, EjectionEvent::Action::kUneject);
  EXPECT_EQ(node.events[2].sinceLastAction, seconds(0));
}

TEST(StatisticalSweep, SplitModeHasDetectorsOfItsOwn) {
  auto settings = statisticsOnly();
  settings.splitExternalLocalOriginErrors = true;
  settings.enforcingSuccessRate = 0;
  Node node(settings, 5);
  serve(node, 5, 2, 50);
  node.sweep();
  EXPECT_EQ(node.enforced(Detector::kSuccessRateLocalOrigin), 1U);
  EXPECT_EQ(node.detected(Detector::kSuccessRate), 0U);
}

// However many connects it makes, a client is one voice, for itself and against others.
TEST(StatisticalSweep, OneClientsFailuresEjectForItselfAlone) {
  const std::uint64_t liar = kClient + 1;
  Node node(statisticsOnly(), 5);
  for (int i = 1; i <= 5; ++i) {
    node.succeed(i, 100);
    node.succeed(i, 100000, liar);
  }
  node.fail(1, 100000, liar);
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty());
  EXPECT_TRUE(node.ejectedFor(1, liar));
  EXPECT_FALSE(node.ejectedFor(1, kClient));
}

TEST(StatisticalSweep, OneClientsSuccessesHideNobodysFailures) {
  const std::uint64_t liar = kClient + 1;
  Node node(statisticsOnly(), 5);
  for (int i = 1; i <= 5; ++i) {
    node.succeed(i, 100);
    node.succeed(i, 100000, liar);
  }
  node.fail(1, 100);
  node.sweep();
  EXPECT_TRUE(node.ejectedFor(1, kClient)) << "as its own Envoy would do";
  // A second honest one meets the same, and both are more than half of three.
  const std::uint64_t honest = kClient + 2;
  for (int i = 1; i <= 5; ++i) node.succeed(i, 100, honest);
  node.fail(1, 100, honest);
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
}

// Each alone has too few connects to be judged by.
TEST(StatisticalSweep, AClientsVolumeIsItsOwn) {
  Node node(statisticsOnly(), 5);
  for (std::uint64_t client = 1; client <= 10; ++client) {
    for (int i = 1; i <= 5; ++i) node.succeed(i, 10, client);
    node.fail(1, 10, client);
  }
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty());
  EXPECT_EQ(node.detected(Detector::kSuccessRate), 0U);
}

TEST(StatisticalSweep, DuplicateAddressesAreOneHost) {
  auto settings = statisticsOnly();
  Node node(settings, 4);
  auto twice = std::make_shared<LoadAssignment>(*hosts(4));
  twice->localities.push_back(twice->localities[0]);
  node.configure(node.resource, twice);
  serve(node, 4, 1, 100);
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty());
}

TEST(StatisticalSweep, BaselineIsTheFirstSight) {
  Node node(statisticsOnly(), 4);
  auto added = hosts(5);
  node.lines.configure(*node.resource, *added);
  node.fail(5, 500);  // before the detector knows it
  node.configure(node.resource, added);
  for (int i = 1; i <= 4; ++i) node.succeed(i, 100);
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty());
}

}  // namespace
}  // namespace sockmesh
