// SPDX-License-Identifier: Apache-2.0
#include "ads/not_honoured_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Snapshot with(const std::string& cluster, const std::vector<std::string>& notHonoured) {
  auto made = std::make_shared<Cluster>();
  made->name = cluster;
  made->notHonoured = notHonoured;
  Snapshot snapshot;
  snapshot.clusters[cluster] = made;
  snapshot.changed.clusters = {cluster};
  return snapshot;
}

TEST(NotHonouredLog, OneLineForAClusterWhenItsListChanges) {
  NotHonouredLog log;
  EXPECT_THAT(log.update(with("c", {"health_checks: no", "x: no"})),
              ElementsAre("cluster c: without effect at connect(): health_checks: no; x: no"));
  EXPECT_THAT(log.update(with("c", {"health_checks: no", "x: no"})), IsEmpty());
  EXPECT_THAT(log.update(with("c", {"x: no"})),
              ElementsAre("cluster c: without effect at connect(): x: no"));
  EXPECT_THAT(log.update(with("c", {})),
              ElementsAre("cluster c: everything in it has its effect now"));
  EXPECT_THAT(log.update(with("c", {})), IsEmpty());
}

TEST(NotHonouredLog, AClusterThatGoesIsNotWorthALineAndIsNewWhenItIsBack) {
  NotHonouredLog log;
  log.update(with("c", {"x: no"}));
  Snapshot without;
  without.changed.clusters = {"c"};
  EXPECT_THAT(log.update(without), IsEmpty());
  EXPECT_THAT(log.update(with("c", {"x: no"})),
              ElementsAre("cluster c: without effect at connect(): x: no"));
}

TEST(NotHonouredLog, ListenersThatMakeNoVipSayWhy) {
  NotHonouredLog log;
  Snapshot snapshot;
  snapshot.leftAlone["0.0.0.0_80"] =
      std::make_shared<const LeftAlone>(LeftAlone{"0.0.0.0_80", "wildcard address 0.0.0.0:80"});
  snapshot.changed.listeners = {"0.0.0.0_80"};
  EXPECT_THAT(log.update(snapshot),
              ElementsAre("listener 0.0.0.0_80: makes no VIP: wildcard address 0.0.0.0:80"));
  EXPECT_THAT(log.update(snapshot), IsEmpty());
}

TEST(NotHonouredLog, EndpointsThatNobodyReachesAreNamedOnce) {
  NotHonouredLog log;
  Snapshot snapshot;
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->unreachable = {"224.0.0.1:80: a multicast address"};
  snapshot.assignments["c"] = assignment;
  snapshot.changed.assignments = {"c"};
  EXPECT_THAT(log.update(snapshot),
              ElementsAre("endpoints of c: cannot be reached, and are used all the same: "
                          "224.0.0.1:80: a multicast address"));
  EXPECT_THAT(log.update(snapshot), IsEmpty());
}

TEST(NotHonouredLog, OnlyChangedResourcesAreLookedAtUnlessAllMayDiffer) {
  NotHonouredLog log;
  Snapshot snapshot = with("c", {"x: no"});
  snapshot.changed = {};
  EXPECT_THAT(log.update(snapshot), IsEmpty());
  snapshot.changed.all = true;
  EXPECT_THAT(log.update(snapshot), ElementsAre("cluster c: without effect at connect(): x: no"));
}

}  // namespace
}  // namespace sockmesh
