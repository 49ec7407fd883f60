// SPDX-License-Identifier: Apache-2.0
// Make before break, as snapshots show it: a VIP's target is never taken away before its successor
// is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/resource_store.h"
#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Warming : public ::testing::Test {
 protected:
  void accept(const DiscoveryResponse& given, Nanos now = Nanos(0)) {
    const ApplyResult result = store_.apply(updateOf(given), now);
    ASSERT_TRUE(result.ok()) << result.message();
  }
  // The EDS name of a cluster in force; "" where there is no such cluster.
  std::string edsNameOf(const std::string& cluster) {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->clusters.find(cluster);
    return found == snapshot->clusters.end() ? "" : found->second->edsName;
  }
  bool served(const std::string& cluster) {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->clusters.find(cluster);
    return found != snapshot->clusters.end() && snapshot->assignmentOf(*found->second) != nullptr;
  }
  // The clusters that a listener in force points at.
  std::vector<std::string> targetsOf(const std::string& listener) {
    std::vector<std::string> names;
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->listeners.find(listener);
    if (found == snapshot->listeners.end()) return names;
    for (const WeightedCluster& leg : found->second->route.clusters) names.push_back(leg.name);
    return names;
  }
  std::vector<std::string> held() {
    std::vector<std::string> lines;
    for (const HeldVersion& one : store_.snapshot()->held) {
      lines.push_back(one.type + " " + one.name + ": " + one.why);
    }
    return lines;
  }
  // Cluster c, whose endpoints are known, behind listener l.
  void serve(const std::string& edsName = "a") {
    accept(cds(edsCluster("c", 5, edsName)));
    accept(eds(assignment(edsName)));
    accept(lds(listenerTo({"c"}, "l", "10.0.0.1")));
  }

  ResourceStore store_;
};

TEST_F(Warming, AClusterKeepsItsEndpointsUntilThoseOfItsNewNameHaveCome) {
  serve("a");
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_EQ(edsNameOf("c"), "a");
  EXPECT_TRUE(served("c"));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "b"));
  EXPECT_THAT(held(), ElementsAre("CDS c: its newest version waits for the endpoints of b"));

  accept(eds(assignment("a", 9090)));
  const auto meanwhile = store_.snapshot()->assignments.at("a");
  EXPECT_EQ(meanwhile->localities[0].endpoints[0].address.port, 9090) << "still updated";

  const ApplyResult result = store_.apply(updateOf(eds(assignment("b"))));
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(edsNameOf("c"), "b");
  EXPECT_TRUE(served("c"));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("b"));
  EXPECT_THAT(held(), IsEmpty());
}

TEST_F(Warming, ANameThatIsAnsweredAlreadyIsTakenAtOnce) {
  accept(cds(edsCluster("c", 5, "a"), edsCluster("d", 5, "shared")));
  accept(eds(assignment("a"), assignment("shared")));
  accept(cds(edsCluster("c", 5, "shared"), edsCluster("d", 5, "shared")));
  EXPECT_EQ(edsNameOf("c"), "shared");
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("shared"));
}

TEST_F(Warming, TheTimeOutOfTheNewNameEndsTheWait) {
  serve("a");
  accept(cds(withFetchTimeout(edsCluster("c", 5, "b"), 3)));
  EXPECT_THAT(missingEndpoints(store_), ElementsAre(testing::Pair("b", seconds(3))));
  EXPECT_TRUE(store_.fetchTimedOut(endpointsOf("b")));
  EXPECT_EQ(edsNameOf("c"), "b");
  EXPECT_THAT(store_.snapshot()->assignments.at("b")->localities, IsEmpty());
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("b"));
}

TEST_F(Warming, ARejectedAnswerDoesNotTakeAwayWhatServes) {
  serve("a");
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_FALSE(store_.apply(updateOf(eds(assignment("b", 70000)))).ok());
  EXPECT_FALSE(store_.fetchRejected(endpointsOf("b")));
  EXPECT_EQ(edsNameOf("c"), "a");
  EXPECT_TRUE(store_.fetchTimedOut(endpointsOf("b")));
  EXPECT_EQ(edsNameOf("c"), "b");
}

TEST_F(Warming, ARejectedFirstAnswerLeavesANewClusterEmpty) {
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_TRUE(store_.fetchRejected(endpointsOf("b")));
  EXPECT_TRUE(served("c"));
}

TEST_F(Warming, AClusterThatHasNothingToKeepIsReplacedAtOnce) {
  accept(cds(edsCluster("c", 5, "a")));
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_EQ(edsNameOf("c"), "b");
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("b"));
}

TEST_F(Warming, OnlyTheNewestVersionIsWaitedFor) {
  serve("a");
  accept(cds(edsCluster("c", 5, "b")));
  accept(cds(edsCluster("c", 5, "b2")));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "b2"));
  accept(eds(assignment("b")));
  EXPECT_EQ(edsNameOf("c"), "a") << "nobody asked for b any more";
  accept(cds(edsCluster("c", 9, "a")));
  EXPECT_EQ(store_.snapshot()->clusters.at("c")->connectTimeout, seconds(9));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a"));
}

TEST_F(Warming, ARejectedVersionLeavesTheWaitAsItIs) {
  serve("a");
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_FALSE(store_.apply(updateOf(cds(badCluster("c")))).ok());
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "b"));
  accept(eds(assignment("b")));
  EXPECT_EQ(edsNameOf("c"), "b");
}

TEST_F(Warming, AnotherDiscoveryTypeWaitsOnlyForEndpointsToCome) {
  serve("a");
  ClusterProto fixed;
  fixed.set_name("c");
  fixed.set_type(ClusterProto::STATIC);
  *fixed.mutable_load_assignment() = assignment("c");
  accept(cds(fixed));
  EXPECT_EQ(store_.snapshot()->clusters.at("c")->type, DiscoveryType::kStatic);
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_EQ(store_.snapshot()->clusters.at("c")->type, DiscoveryType::kStatic);
  accept(eds(assignment("b")));
  EXPECT_EQ(edsNameOf("c"), "b");
}

TEST_F(Warming, AListenerKeepsItsClusterUntilTheNewOneHasEndpoints) {
  serve("a");
  accept(cds(edsCluster("c", 5, "a"), edsCluster("new")));
  accept(lds(listenerTo({"new"}, "l", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("c"));
  EXPECT_THAT(held(), ElementsAre("LDS l: its newest version waits for the endpoints of new"));
  accept(eds(assignment("new")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("new"));
}

TEST_F(Warming, AListenerWhoseNewClusterTimesOutIsSwitched) {
  serve("a");
  accept(cds(edsCluster("c", 5, "a"), edsCluster("new")));
  accept(lds(listenerTo({"c", "new"}, "l", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("c"));
  store_.fetchTimedOut(endpointsOf("new"));
  EXPECT_THAT(targetsOf("l"), ElementsAre("c", "new"));
}

TEST_F(Warming, AListenerDoesNotWaitForAClusterThatDoesNotExist) {
  serve("a");
  accept(lds(listenerTo({"nowhere"}, "l", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("nowhere"));
}

// A cluster that is never answered would hold it back for ever.
TEST_F(Warming, AListenerDoesNotWaitForAClusterThatItPointsAtAlready) {
  accept(cds(edsCluster("c", 5, "a"), edsCluster("slow")));
  accept(eds(assignment("a")));
  accept(lds(listenerTo({"c", "slow"}, "l", "10.0.0.1")));
  accept(lds(listenerTo({"slow", "c"}, "l", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("slow", "c"));
}

TEST_F(Warming, ANewListenerIsThereAtOnce) {
  accept(cds(edsCluster("new")));
  accept(lds(listenerTo({"new"}, "l", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("new"));
}

TEST_F(Warming, AVipThatMovesToAnotherListenerIsServedAllTheTime) {
  serve("a");
  accept(cds(edsCluster("c", 5, "a"), edsCluster("new")));
  accept(lds(listenerTo({"new"}, "renamed", "10.0.0.1")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("c"));
  EXPECT_THAT(targetsOf("renamed"), IsEmpty());
  accept(eds(assignment("new")));
  EXPECT_THAT(targetsOf("l"), IsEmpty());
  EXPECT_THAT(targetsOf("renamed"), ElementsAre("new"));
}

// l gives its VIP to m, whose own VIP goes to n, which waits: all of them stay as they are.
TEST_F(Warming, VipsThatMoveInAChainMoveTogether) {
  accept(cds(edsCluster("c", 5, "a"), edsCluster("new")));
  accept(eds(assignment("a")));
  accept(lds(listenerTo({"c"}, "l", "10.0.0.1"), listenerTo({"c"}, "m", "10.0.0.2")));
  const DiscoveryResponse moved =
      lds(listenerTo({"c"}, "l", "10.0.0.3"), listenerTo({"c"}, "m", "10.0.0.1"),
          listenerTo({"new"}, "n", "10.0.0.2"));
  accept(moved);
  const auto held = store_.snapshot();
  EXPECT_EQ(held->listeners.at("l")->addresses[0].toString(), "10.0.0.1:80");
  EXPECT_EQ(held->listeners.at("m")->addresses[0].toString(), "10.0.0.2:80");
  EXPECT_FALSE(held->listeners.contains("n"));
  accept(eds(assignment("new")));
  const auto free = store_.snapshot();
  EXPECT_EQ(free->listeners.at("l")->addresses[0].toString(), "10.0.0.3:80");
  EXPECT_EQ(free->listeners.at("m")->addresses[0].toString(), "10.0.0.1:80");
  EXPECT_TRUE(free->listeners.contains("n"));
}

TEST_F(Warming, AClusterThatIsRemovedStaysWhileListenersPointAtIt) {
  serve("a");
  accept(cds(edsCluster("other")));
  EXPECT_TRUE(served("c"));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "other"));
  EXPECT_THAT(held(), ElementsAre(HasSubstr("CDS c: the control plane removed it")));
  accept(lds(listenerTo({"other"}, "l", "10.0.0.1")));
  EXPECT_TRUE(served("c")) << "its successor waits";
  accept(eds(assignment("other")));
  EXPECT_THAT(targetsOf("l"), ElementsAre("other"));
  EXPECT_EQ(edsNameOf("c"), "");
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("other"));
}

TEST_F(Warming, ARemovedClusterThatComesBackIsMadeBeforeTheOldOneIsBroken) {
  serve("a");
  accept(cds());
  EXPECT_EQ(edsNameOf("c"), "a");
  accept(cds(edsCluster("c", 5, "b")));
  EXPECT_EQ(edsNameOf("c"), "a");
  accept(eds(assignment("b")));
  EXPECT_EQ(edsNameOf("c"), "b");
}

TEST_F(Warming, ARemovedClusterGoesWithItsLastListener) {
  serve("a");
  accept(cds());
  accept(lds());
  EXPECT_EQ(edsNameOf("c"), "");
  EXPECT_THAT(store_.wanted(edsType()), IsEmpty());
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
}

TEST_F(Warming, ARemovedClusterThatNeverHadEndpointsIsGoneAtOnce) {
  accept(cds(edsCluster("c", 5, "a")));
  accept(lds(listenerTo({"c"}, "l", "10.0.0.1")));
  accept(cds());
  EXPECT_EQ(edsNameOf("c"), "");
  EXPECT_TRUE(store_.snapshot()->clustersListed) << "absent, not unknown";
}

TEST_F(Warming, ClustersAreListedOnceEachOfThemHasAName) {
  EXPECT_FALSE(store_.snapshot()->clustersListed);
  accept(lds());
  EXPECT_FALSE(store_.snapshot()->clustersListed);
  DiscoveryResponse odd = cds(edsCluster("b"), edsCluster("a"));
  odd.mutable_resources(1)->set_type_url("type.googleapis.com/envoy.api.v2.Cluster");
  EXPECT_FALSE(store_.apply(updateOf(odd)).ok());
  EXPECT_FALSE(store_.snapshot()->clustersListed) << "the nameless one may be any";
  accept(cds(edsCluster("b")));
  EXPECT_TRUE(store_.snapshot()->clustersListed);
}

}  // namespace
}  // namespace sockmesh
