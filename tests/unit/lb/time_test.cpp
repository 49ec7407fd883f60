// SPDX-License-Identifier: Apache-2.0
// What time alone changes: slow start and stale endpoints.
#include <gtest/gtest.h>

#include <cmath>

#include "lb/compiler.h"
#include "lb/share.h"
#include "lb/slow_start.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Nanos kStart = seconds(100);

double factorAt(double aggression, Nanos age) {
  SlowStart config;
  config.window = seconds(60);
  config.aggression = aggression;
  return slowStartFactor(config, age);
}

TEST(SlowStart, Curves) {
  EXPECT_NEAR(factorAt(1, seconds(15)), 0.25, 1e-9);
  EXPECT_NEAR(factorAt(1, seconds(30)), 0.5, 1e-9);
  EXPECT_NEAR(factorAt(1, seconds(45)), 0.75, 1e-9);
  EXPECT_NEAR(factorAt(1, seconds(6)), 0.10, 1e-9);
  EXPECT_NEAR(factorAt(1, seconds(0)), 0.10, 1e-9);
  EXPECT_NEAR(factorAt(2, seconds(3)), 0.224, 1e-3);
  EXPECT_NEAR(factorAt(2, seconds(15)), 0.5, 1e-9);
  EXPECT_NEAR(factorAt(2, seconds(30)), 0.707, 1e-3);
  EXPECT_NEAR(factorAt(0.5, seconds(15)), 0.10, 1e-9);
  EXPECT_NEAR(factorAt(0.5, seconds(30)), 0.25, 1e-9);
  EXPECT_NEAR(factorAt(0.5, seconds(45)), 0.5625, 1e-9);
  EXPECT_EQ(factorAt(1, seconds(60)), 1);
  EXPECT_NEAR(factorAt(0, seconds(30)), 0.5, 1e-9) << "an aggression of 0 counts as 1";
  EXPECT_NEAR(factorAt(NAN, seconds(30)), 0.5, 1e-9);
  EXPECT_EQ(slowStartFactor({}, Nanos{0}), 1) << "off";
}

class Timed : public testing::Test {
 protected:
  ServiceShares sharesAt(Nanos now) {
    tables_ = compiler_.compile(builder_.snapshot(), overlay_, now);
    return shareOf(test::at(*tables_));
  }

  SnapshotBuilder builder_;
  HealthOverlay overlay_;
  Compiler compiler_{CompilerOptions{}};
  std::shared_ptr<const LbTables> tables_;
};

TEST_F(Timed, ANewHostGrowsIntoItsShare) {
  Cluster c = cluster("c");
  c.lb.slowStart.window = seconds(60);
  builder_.put(c, assignment({locality("a", 0, 1, 1, 1)})).listen("l", {kVip}, {{"c", 1, {}}});
  EXPECT_NEAR(shareOfHost(sharesAt(kStart), 1), 1, 1e-12);
  const Nanos later = kStart + seconds(1000);
  builder_.put(c, assignment({locality("a", 0, 1, 2, 2)}));
  EXPECT_NEAR(shareOfHost(sharesAt(later), 2), 0.1 / 1.1, 1e-4);
  EXPECT_NEAR(shareOfHost(sharesAt(later + seconds(15)), 2), 0.25 / 1.25, 1e-4);
  EXPECT_NEAR(shareOfHost(sharesAt(later + seconds(30)), 2), 0.5 / 1.5, 1e-4);

  // The tables must be asked for again soon, and follow the curve closely when they are.
  ASSERT_TRUE(compiler_.nextChange());
  EXPECT_LE(*compiler_.nextChange(), later + seconds(31));
  while (compiler_.nextChange()) {
    const Nanos now = *compiler_.nextChange();
    const double factor = std::min(1.0, std::max(0.1, (now - later) / 1.0 / seconds(60)));
    const double expected = factor / (1 + factor);
    ASSERT_NEAR(shareOfHost(sharesAt(now), 2), expected, 0.001 * expected + 1e-6);
  }
  EXPECT_EQ(shareOfHost(sharesAt(later + seconds(60)), 2), 0.5);
}

TEST_F(Timed, EjectionDoesNotRestartSlowStart) {
  Cluster c = cluster("c", LbPolicy::kLeastRequest);
  c.lb.slowStart.window = seconds(60);
  builder_.put(c, assignment({locality("a", 0, 1, 1, 1)})).listen("l", {kVip}, {{"c", 1, {}}});
  sharesAt(kStart);
  builder_.put(c, assignment({locality("a", 0, 1, 2, 2)}));
  sharesAt(kStart + seconds(100));
  overlay_.byCluster["c"][host(2)].ejected = true;
  EXPECT_EQ(shareOfHost(sharesAt(kStart + seconds(110)), 2), 0);
  overlay_.byCluster.clear();
  EXPECT_NEAR(shareOfHost(sharesAt(kStart + seconds(130)), 2), 0.5 / 1.5, 1e-6);
  // Leaving the assignment does.
  builder_.put(c, assignment({locality("a", 0, 1, 1, 1)}));
  sharesAt(kStart + seconds(200));
  builder_.put(c, assignment({locality("a", 0, 1, 2, 2)}));
  EXPECT_NEAR(shareOfHost(sharesAt(kStart + seconds(210)), 2), 0.1 / 1.1, 1e-6);
}

TEST_F(Timed, RandomKnowsNoSlowStart) {
  Cluster c = cluster("c", LbPolicy::kRandom);
  c.lb.slowStart.window = seconds(60);
  builder_.put(c, assignment({locality("a", 0, 1, 1, 1)})).listen("l", {kVip}, {{"c", 1, {}}});
  sharesAt(kStart);
  builder_.put(c, assignment({locality("a", 0, 1, 2, 2)}));
  EXPECT_EQ(shareOfHost(sharesAt(kStart + seconds(100)), 2), 0.5);
}

TEST_F(Timed, StaleEndpointsAreAsNone) {
  LoadAssignment made = assignment({locality("a", 0, 1, 2, 2)});
  made.endpointStaleAfter = seconds(10);
  builder_.put(cluster("c"), made).listen("l", {kVip}, {{"c", 1, {}}});
  EXPECT_EQ(shareOfHost(sharesAt(kStart), 1), 0.5);
  EXPECT_EQ(compiler_.nextChange(), kStart + seconds(10));
  EXPECT_EQ(shareOfHost(sharesAt(kStart + milliseconds(9999)), 1), 0.5);
  EXPECT_EQ(sharesAt(kStart + seconds(10)).refused, 1);
  EXPECT_EQ(test::at(*tables_).groups[0]->reason, SM_REASON_NO_ENDPOINTS);
  EXPECT_TRUE(tables_->clusters.at("c")->endpoints.empty());
  EXPECT_EQ(compiler_.nextChange(), std::nullopt);
  // Another change of the cluster does not bring them back, a new assignment does.
  builder_.put(cluster("c"));
  EXPECT_EQ(sharesAt(kStart + seconds(11)).refused, 1);
  builder_.put(cluster("c"), made);
  EXPECT_EQ(shareOfHost(sharesAt(kStart + seconds(12)), 1), 0.5);
  EXPECT_EQ(compiler_.nextChange(), kStart + seconds(22));
}

}  // namespace
}  // namespace sockmesh
