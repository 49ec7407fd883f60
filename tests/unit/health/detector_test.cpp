// SPDX-License-Identifier: Apache-2.0
// What the detector keeps and tells: watching, overlay, events, warnings, restarts, lost hints.
#include "health/outlier_detector.h"

#include <gtest/gtest.h>

#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::seconds;
using Action = EjectionEvent::Action;

OutlierDetection one() {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  settings.consecutiveGatewayFailure = 0;
  return settings;
}

// An agent that finds the endpoint states of an earlier agent.
struct Successor {
  std::vector<EjectionEvent> events;
  OutlierDetector detector;
  explicit Successor(Node& node)
      : detector(node.lines, [this](const EjectionEvent& event) { events.push_back(event); }) {
    detector.watch({{kC, {node.resource, node.assignment}}}, node.clock.monotonic());
  }
};

// ---- events ----

TEST(Events, TellOfEjectionAndReturn) {
  Node node(one(), 2);
  node.clock.set(seconds(2));
  node.fail(1, 5);
  node.advance(seconds(100));
  node.fail(1, 5);
  ASSERT_EQ(node.events.size(), 3U);
  EXPECT_EQ(node.events[0].action, Action::kEject);
  EXPECT_EQ(node.events[0].cluster, kC);
  EXPECT_EQ(node.events[0].address, host(1));
  EXPECT_EQ(node.events[0].detector, Detector::kConsecutive5xx);
  EXPECT_EQ(node.events[0].at, seconds(2));
  EXPECT_EQ(node.events[0].ejectedUntil, seconds(32));
  EXPECT_EQ(node.events[0].sinceLastAction, std::nullopt);
  EXPECT_EQ(node.events[0].ejections, 1U);
  EXPECT_TRUE(node.events[0].enforced);
  EXPECT_FALSE(node.events[0].rates);
  EXPECT_EQ(node.events[1].action, Action::kUneject);
  EXPECT_EQ(node.events[1].at, seconds(41));
  EXPECT_EQ(node.events[1].sinceLastAction, seconds(39));
  EXPECT_EQ(node.events[1].ejections, 1U);
  EXPECT_EQ(node.events[2].at, seconds(102));
  EXPECT_EQ(node.events[2].sinceLastAction, seconds(61));
  EXPECT_EQ(node.events[2].ejections, 2U);
}

TEST(Events, NotEnforced) {
  auto settings = one();
  settings.enforcingConsecutive5xx = 0;
  Node node(settings, 2);
  node.fail(2, 5);
  ASSERT_EQ(node.events.size(), 1U);
  EXPECT_FALSE(node.events[0].enforced);
  EXPECT_EQ(node.events[0].ejections, 0U);
  EXPECT_EQ(node.events[0].at, seconds(1));
  EXPECT_TRUE(node.detector.overlay()->byCluster.empty());
  node.detector.notEnforced("unknown", host(1), Detector::kConsecutive5xx, seconds(1));
  node.detector.notEnforced(kC, host(9), Detector::kConsecutive5xx, seconds(1));
  EXPECT_EQ(node.events.size(), 1U);
}

TEST(Events, LostHintsDelayThemUntilTheSweep) {
  Node node(one(), 2);
  node.hints = false;
  node.clock.set(seconds(4));
  node.fail(1, 5);
  EXPECT_TRUE(node.events.empty());
  EXPECT_FALSE(node.inOverlay(1));
  node.sweep();
  ASSERT_EQ(node.events.size(), 1U);
  EXPECT_EQ(node.events[0].at, seconds(4));
  EXPECT_TRUE(node.inOverlay(1));
}

TEST(Events, EjectionAndReturnMissedTogetherAreBothTold) {
  Node node(one(), 2);
  node.hints = false;
  node.fail(1, 5);
  node.clock.set(seconds(35));
  node.succeed(1);
  node.detector.sweep(seconds(36));
  ASSERT_EQ(node.events.size(), 2U);
  EXPECT_EQ(node.events[0].action, Action::kEject);
  EXPECT_EQ(node.events[0].ejectedUntil, seconds(0));
  EXPECT_EQ(node.events[1].action, Action::kUneject);
  EXPECT_EQ(node.events[1].at, seconds(35));
  EXPECT_FALSE(node.inOverlay(1));
}

TEST(Events, ReturnAndNextEjectionMissedTogetherAreBothTold) {
  Node node(one(), 2);
  node.fail(1, 5);
  node.hints = false;
  node.clock.set(seconds(35));
  node.succeed(1);
  node.clock.set(seconds(36));
  node.fail(1, 5);
  node.detector.sweep(seconds(37));
  ASSERT_EQ(node.events.size(), 3U);
  EXPECT_EQ(node.events[1].action, Action::kUneject);
  EXPECT_EQ(node.events[1].sinceLastAction, seconds(34));
  EXPECT_EQ(node.events[1].ejections, 1U);
  EXPECT_EQ(node.events[2].action, Action::kEject);
  EXPECT_EQ(node.events[2].sinceLastAction, seconds(1));
  EXPECT_EQ(node.events[2].ejections, 2U);
}

TEST(Events, OfSeveralMissedEjectionsTheLast) {
  Node node(one(), 2);
  node.hints = false;
  for (int i = 0; i < 3; ++i) {
    node.fail(1, 5);
    node.clock.set(Nanos(node.state(1).ejected_until_ns));
    node.succeed(1);
  }
  node.detector.refresh(kC, host(1), node.clock.monotonic());
  ASSERT_EQ(node.events.size(), 2U);
  EXPECT_EQ(node.events[0].ejections, 3U);
  EXPECT_EQ(node.events[0].sinceLastAction, std::nullopt);
  EXPECT_EQ(node.events[1].action, Action::kUneject);
}

// The kernel writes a line field by field.
TEST(Events, HalfWrittenLinesAreToldWhenTheyAreWhole) {
  Node node(one(), 2);
  auto& state = node.state(1);
  state.ejected_until_ns = 31'000'000'000;
  node.detector.refresh(kC, host(1), seconds(1));
  EXPECT_TRUE(node.inOverlay(1));
  EXPECT_TRUE(node.events.empty());
  state.ejected_at_ns = 1'000'000'000;
  state.ejections = 1;
  node.detector.refresh(kC, host(1), seconds(1));
  ASSERT_EQ(node.events.size(), 1U);
  state.ejected_until_ns = 0;
  node.detector.refresh(kC, host(1), seconds(31));
  EXPECT_FALSE(node.inOverlay(1));
  EXPECT_EQ(node.events.size(), 1U);
  state.unejected_at_ns = 31'000'000'000;
  node.detector.refresh(kC, host(1), seconds(31));
  ASSERT_EQ(node.events.size(), 2U);
  EXPECT_EQ(node.events[1].sinceLastAction, seconds(30));
}

// ---- overlay ----

TEST(Overlay, IsAnotherObjectOnlyWhenItsContentIs) {
  Node node(one(), 3);
  const auto empty = node.detector.overlay();
  ASSERT_NE(empty, nullptr);
  EXPECT_TRUE(empty->byCluster.empty());
  node.sweep();
  EXPECT_EQ(node.detector.overlay(), empty);
  node.fail(1, 5);
  const auto ejected = node.detector.overlay();
  EXPECT_NE(ejected, empty);
  ASSERT_NE(ejected->find(kC, host(1)), nullptr);
  EXPECT_TRUE(ejected->find(kC, host(1))->ejected);
  EXPECT_EQ(node.events.at(0).ejectedUntil, seconds(41));
  EXPECT_EQ(ejected->byCluster.at(kC).size(), 1U);
  node.detector.refresh(kC, host(1), node.clock.monotonic());
  node.configure(node.resource, hosts({1, 3}));
  EXPECT_EQ(node.detector.overlay(), ejected);
  node.configure(node.resource, hosts({3}));
  EXPECT_TRUE(node.detector.overlay()->byCluster.empty());
  EXPECT_EQ(node.events.size(), 1U);  // removal is no return
}

TEST(Overlay, ClustersThatAreGoneAreGone) {
  Node node(one(), 2);
  node.fail(1, 5);
  node.detector.watch({{kC, {}}}, node.clock.monotonic());
  EXPECT_TRUE(node.detector.overlay()->byCluster.empty());
  EXPECT_EQ(node.detector.nextSweep(), std::nullopt);
}

// ---- watching ----

TEST(Watch, UnchangedClustersAreNotRead) {
  Node node(one(), 100);
  const auto before = node.lines.reads();
  node.watch();
  EXPECT_EQ(node.lines.reads(), before);
}

TEST(Watch, EndpointsKeepTheirStateOverUpdates) {
  auto settings = one();
  settings.consecutive5xx = 0;
  Node node(settings, 5);
  node.fail(1, 100);
  for (int i = 2; i <= 5; ++i) node.succeed(i, 100);
  settings.baseEjectionTime = seconds(60);
  node.configure(cluster(settings), hosts({5, 4, 3, 2, 1}));
  node.sweep();
  EXPECT_EQ(node.ejectedHosts(), std::vector<int>{1});
  EXPECT_EQ(node.events.at(0).ejectedUntil, seconds(71));
}

TEST(Watch, EndpointsKeepTheirStateInWhateverOrderTheyAreListed) {
  constexpr int kMany = 2000;
  Node node(one(), kMany);
  node.fail(1234, 5);
  ASSERT_TRUE(node.inOverlay(1234));
  auto other = std::make_shared<LoadAssignment>();
  other->localities.resize(2);
  for (int i = 0; i < kMany; ++i) {
    const int number = 1 + (i * 7 + 3) % kMany;  // each once
    if (number % 5 == 0) continue;
    other->localities[i % 2].endpoints.emplace_back().address = host(number);
  }
  const std::size_t told = node.events.size();
  node.configure(node.resource, other);
  EXPECT_TRUE(node.inOverlay(1234));
  EXPECT_EQ(node.events.size(), told) << "what is known already is not told again";
  node.fail(7, 5);
  node.fail(1999, 5);
  EXPECT_TRUE(node.inOverlay(7) && node.inOverlay(1999));
  node.configure(node.resource, hosts({1, 7, 3}));
  EXPECT_FALSE(node.inOverlay(1234)) << "it is gone";
  EXPECT_TRUE(node.inOverlay(7));
}

TEST(Watch, TheNextSweepIsAtMostOneNewIntervalAway) {
  auto settings = one();
  Node node(settings, 1);
  EXPECT_EQ(node.detector.nextSweep(), seconds(11));
  node.clock.set(seconds(3));
  settings.interval = seconds(2);
  node.configure(cluster(settings), node.assignment);
  EXPECT_EQ(node.detector.nextSweep(), seconds(5));
  settings.interval = seconds(100);
  node.configure(cluster(settings), node.assignment);
  EXPECT_EQ(node.detector.nextSweep(), seconds(5));
  node.sweep();
  EXPECT_EQ(node.detector.nextSweep(), seconds(105));
}

TEST(Watch, ClustersSweepOnTheirOwn) {
  Node node(one(), 1);
  auto settings = one();
  settings.interval = seconds(3);
  const auto other = cluster(settings, "d");
  node.lines.configure(*other, *hosts(1));
  node.detector.watch({{kC, {node.resource, node.assignment}}, {"d", {other, hosts(1)}}},
                      seconds(1));
  EXPECT_EQ(node.detector.nextSweep(), seconds(4));
  node.sweep();
  EXPECT_EQ(node.detector.nextSweep(), seconds(7));
  node.clock.set(seconds(11));
  node.detector.sweep(seconds(11));
  EXPECT_EQ(node.detector.nextSweep(), seconds(14));
}

TEST(Watch, WithoutDetectionNothingIsSwept) {
  Node node(std::nullopt, 3);
  node.fail(1, 50);
  EXPECT_EQ(node.detector.nextSweep(), std::nullopt);
  EXPECT_FALSE(node.ejected(1));
}

TEST(Watch, AssignmentThatHasNotArrived) {
  Node node(one(), 2);
  node.detector.watch({{kC, {node.resource, nullptr}}}, seconds(1));
  node.sweep();
  EXPECT_TRUE(node.detector.warnings().empty());
}

TEST(Watch, LosingDetectionTakesTheEjectedBackAndTellsIt) {
  Node node(one(), 2);
  node.fail(1, 5);
  node.configure(cluster(std::nullopt), node.assignment);
  EXPECT_FALSE(node.ejected(1));
  EXPECT_TRUE(node.detector.overlay()->byCluster.empty());
  ASSERT_EQ(node.events.size(), 2U);
  EXPECT_EQ(node.events[1].action, Action::kUneject);
  EXPECT_EQ(node.events[1].sinceLastAction, seconds(0));
  EXPECT_TRUE(node.detector.warnings().empty());
}

TEST(Watch, WhatTheKernelEjectsBeforeItLearnsComesBackToo) {
  for (const bool hint : {true, false}) {
    Node node(one(), 2);
    node.clock.set(seconds(5));
    node.resource = cluster(std::nullopt);
    node.watch();  // the kernel is told later
    EXPECT_EQ(node.detector.nextSweep(), seconds(15));
    node.hints = hint;
    node.fail(1, 5);
    EXPECT_EQ(node.ejected(1), !hint);
    node.lines.configure(*node.resource, *node.assignment);
    node.sweep();
    EXPECT_FALSE(node.ejected(1));
    EXPECT_EQ(node.detector.nextSweep(), std::nullopt);
  }
}

TEST(Watch, DetectionThatComesLater) {
  Node node(std::nullopt, 2);
  node.clock.set(seconds(5));
  node.configure(cluster(one()), node.assignment);
  EXPECT_EQ(node.detector.nextSweep(), seconds(15));
  node.fail(1, 5);
  EXPECT_TRUE(node.ejected(1));
  EXPECT_EQ(node.events.size(), 1U);
}

TEST(Watch, LinesThatComeLater) {
  Node node(one(), 2);
  node.assignment = hosts(3);
  node.watch();  // 3 has no line yet
  node.sweep();
  node.lines.configure(*node.resource, *node.assignment);
  node.fail(3, 5);
  EXPECT_TRUE(node.inOverlay(3));
  ASSERT_EQ(node.events.size(), 1U);
  EXPECT_EQ(node.events[0].address, host(3));
}

TEST(Watch, ALineThatIsAnotherOneStartsAfresh) {
  Node node(one(), 5);
  for (int i = 1; i <= 5; ++i) node.succeed(i, 300);
  node.sweep();
  node.lines.line(kC, host(1)) = {};
  node.fail(1, 3);
  for (int i = 2; i <= 5; ++i) node.succeed(i, 300);
  node.sweep();
  EXPECT_TRUE(node.ejectedHosts().empty());
}

// ---- restart ----

TEST(Restart, AdoptsEjectionsSilentlyAndEndsThemOnTime) {
  Node node(one(), 3);
  node.fail(1, 5);
  node.clock.set(seconds(15));
  Successor successor(node);
  EXPECT_TRUE(successor.events.empty());
  EXPECT_EQ(*successor.detector.overlay(), *node.detector.overlay());
  EXPECT_NE(successor.detector.overlay()->find(kC, host(1)), nullptr);
  for (const auto at : {seconds(25), seconds(35)}) {
    node.clock.set(at);
    successor.detector.sweep(at);
  }
  EXPECT_FALSE(node.ejected(1));
  ASSERT_EQ(successor.events.size(), 1U);
  EXPECT_EQ(successor.events[0].action, Action::kUneject);
  EXPECT_EQ(successor.events[0].detector, Detector::kConsecutive5xx);
  EXPECT_EQ(successor.events[0].sinceLastAction, seconds(34));
}

TEST(Restart, ReturnsGoOnWithoutAnAgent) {
  Node node(one(), 3);
  node.fail(1, 5);
  node.hints = false;
  node.clock.set(seconds(31));
  node.succeed(1);
  EXPECT_FALSE(node.ejected(1));
  Successor successor(node);
  successor.detector.sweep(*successor.detector.nextSweep());
  EXPECT_TRUE(successor.events.empty());
  EXPECT_EQ(node.state(1).multiplier, 0U);  // decays on
}

TEST(Restart, CountersOfBeforeAreNotEvaluated) {
  auto settings = one();
  settings.consecutive5xx = 0;
  Node node(settings, 5);
  node.fail(1, 1000);
  for (int i = 2; i <= 5; ++i) node.succeed(i, 1000);
  Successor successor(node);
  successor.detector.sweep(*successor.detector.nextSweep());
  EXPECT_TRUE(node.ejectedHosts().empty());
}

TEST(Restart, EarlierEjectionsWithoutDetectionAreTakenBack) {
  Node node(one(), 3);
  node.fail(1, 5);
  node.resource = cluster(std::nullopt);
  Successor successor(node);
  EXPECT_FALSE(node.ejected(1));
  ASSERT_EQ(successor.events.size(), 1U);
  EXPECT_EQ(successor.events[0].action, Action::kUneject);
  EXPECT_EQ(node.lines.state(kC).ejected, 0U);
}

// ---- warnings ----

TEST(Warnings, TellOfLimitsThatEjectNoneOrOne) {
  OutlierDetection settings;
  const auto warning = [&settings](int n) {
    Node node(settings, n);
    return node.detector.warnings().contains(kC) ? node.detector.warnings().at(kC) : "";
  };
  EXPECT_EQ(warning(3), "max_ejection_percent 10 of 3 endpoints ejects none (34 would eject one)");
  EXPECT_EQ(warning(1), "max_ejection_percent 10 of 1 endpoint ejects none (100 would eject one)");
  EXPECT_EQ(warning(9), "max_ejection_percent 10 of 9 endpoints ejects none (12 would eject one)");
  EXPECT_EQ(warning(10), "");
  EXPECT_EQ(warning(0), "");
  settings.alwaysEjectOneHost = true;
  EXPECT_EQ(warning(1), "");
  EXPECT_EQ(warning(3),
            "max_ejection_percent 10 of 3 endpoints ejects one endpoint at most "
            "(always_eject_one_host)");
  settings.maxEjectionPercent = 34;
  EXPECT_EQ(warning(3), "");
}

TEST(Warnings, GoWithTheirReason) {
  OutlierDetection settings;
  Node node(settings, 3);
  EXPECT_EQ(node.detector.warnings().size(), 1U);
  node.configure(node.resource, hosts(10));
  EXPECT_TRUE(node.detector.warnings().empty());
  node.configure(node.resource, hosts(3));
  EXPECT_EQ(node.detector.warnings().size(), 1U);
  node.detector.watch({{kC, {}}}, seconds(1));
  EXPECT_TRUE(node.detector.warnings().empty());
}

}  // namespace
}  // namespace sockmesh
