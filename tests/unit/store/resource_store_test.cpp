// SPDX-License-Identifier: Apache-2.0
#include "store/resource_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

Changes changes(std::set<std::string> clusters, std::set<std::string> assignments,
                std::set<std::string> listeners) {
  return {false, std::move(clusters), std::move(assignments), std::move(listeners)};
}

class ResourceStoreTest : public ::testing::Test {
 protected:
  // For responses that only set the scene.
  void mustAccept(const DiscoveryResponse& given) {
    const ApplyResult result = store_.apply(updateOf(given));
    ASSERT_TRUE(result.ok()) << result.message();
  }
  std::shared_ptr<const sockmesh::Cluster> cluster(const std::string& name) {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->clusters.find(name);
    return found == snapshot->clusters.end() ? nullptr : found->second;
  }
  std::shared_ptr<const LoadAssignment> endpoints(const std::string& name) {
    const auto snapshot = store_.snapshot();
    const auto found = snapshot->assignments.find(name);
    return found == snapshot->assignments.end() ? nullptr : found->second;
  }

  ResourceStore store_;
};

TEST_F(ResourceStoreTest, IsCompleteOnceClustersAndListenersCameWithoutWaitingForEndpoints) {
  EXPECT_FALSE(store_.snapshot()->complete);
  mustAccept(cds(edsCluster("a")));
  EXPECT_FALSE(store_.snapshot()->complete);
  const ApplyResult result = store_.apply(updateOf(lds()));
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(result.changed);
  EXPECT_TRUE(store_.snapshot()->complete);
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
}

TEST_F(ResourceStoreTest, AResponseWithoutOneUsableResourceDoesNotCountAsReceived) {
  mustAccept(lds());
  EXPECT_FALSE(store_.apply(updateOf(cds(badCluster("a")))).ok());
  EXPECT_FALSE(store_.snapshot()->complete);
  EXPECT_FALSE(store_.apply(updateOf(cds(badCluster("a"), edsCluster("b")))).ok());
  EXPECT_TRUE(store_.snapshot()->complete);
}

TEST_F(ResourceStoreTest, ClustersAreACompleteSet) {
  mustAccept(cds(edsCluster("a"), edsCluster("b")));
  mustAccept(cds(edsCluster("b"), edsCluster("c")));
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("b", "c"));
  mustAccept(cds());
  EXPECT_THAT(store_.snapshot()->clusters, IsEmpty());
}

TEST_F(ResourceStoreTest, GoodResourcesAreInForceBesideBadOnesWhichKeepTheirPreviousVersion) {
  mustAccept(cds(edsCluster("a", 1), edsCluster("b", 1), edsCluster("gone")));
  const auto before = cluster("a");
  const ApplyResult result = store_.apply(
      updateOf(response(kClusterType, "2", badCluster("a"), edsCluster("b", 2), badCluster("n"))));
  EXPECT_THAT(result.accepted, ElementsAre("b"));
  ASSERT_EQ(result.rejected.size(), 2U);
  EXPECT_EQ(result.rejected[0].name, "a");
  EXPECT_EQ(result.rejected[1].name, "n");
  EXPECT_THAT(result.message(), HasSubstr("a: connect_timeout"));
  EXPECT_TRUE(result.changed);
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("a", "b"));
  EXPECT_EQ(cluster("a"), before);
  EXPECT_EQ(cluster("b")->connectTimeout, std::chrono::seconds(2));
  EXPECT_THAT(store_.snapshot()->versions, ElementsAre(Pair("CDS", "1")));
}

TEST_F(ResourceStoreTest, VersionsAdvanceWhenNothingIsRejected) {
  mustAccept(cds(edsCluster("a")));
  const auto before = store_.snapshot();
  const ApplyResult result = store_.apply(updateOf(response(kClusterType, "2", edsCluster("a"))));
  EXPECT_TRUE(result.changed);
  EXPECT_THAT(store_.snapshot()->versions, ElementsAre(Pair("CDS", "2")));
  EXPECT_EQ(cluster("a"), before->clusters.at("a"));
}

TEST_F(ResourceStoreTest, UnchangedResourcesAreSharedWithEarlierSnapshots) {
  mustAccept(cds(edsCluster("a"), edsCluster("b", 1)));
  mustAccept(eds(assignment("a"), assignment("b")));
  mustAccept(lds(listener("l")));
  const auto before = store_.snapshot();
  mustAccept(cds(edsCluster("a"), edsCluster("b", 2)));
  mustAccept(eds(assignment("b", 9090)));
  const auto after = store_.snapshot();
  EXPECT_EQ(after->clusters.at("a"), before->clusters.at("a"));
  EXPECT_NE(after->clusters.at("b"), before->clusters.at("b"));
  EXPECT_EQ(after->assignments.at("a"), before->assignments.at("a"));
  EXPECT_NE(after->assignments.at("b"), before->assignments.at("b"));
  EXPECT_EQ(after->listeners.at("l"), before->listeners.at("l"));
}

TEST_F(ResourceStoreTest, ASnapshotNamesWhatChangedSinceTheOneBefore) {
  mustAccept(cds(edsCluster("a"), edsCluster("b", 1)));
  mustAccept(lds(listener("l"), listener("none", "0.0.0.0")));
  EXPECT_TRUE(store_.snapshot()->changed.all) << "it became complete";
  mustAccept(eds(assignment("b")));
  EXPECT_EQ(store_.snapshot()->changed, changes({}, {"b"}, {}));
  mustAccept(cds(edsCluster("a"), edsCluster("b", 2), edsCluster("c")));
  mustAccept(lds(listener("l"), listener("none", "10.0.0.2")));
  EXPECT_EQ(store_.snapshot()->changed, changes({"b", "c"}, {}, {"none"}));
  mustAccept(cds(edsCluster("a")));
  EXPECT_EQ(store_.snapshot()->changed, changes({"b", "c"}, {"b"}, {}));
  mustAccept(response(kClusterType, "2", edsCluster("a")));
  EXPECT_TRUE(store_.snapshot()->changed.empty()) << "the version alone";
}

TEST_F(ResourceStoreTest, AClusterThatMayExistWithoutANameConcernsAll) {
  mustAccept(cds(edsCluster("a")));
  (void)store_.snapshot();
  DiscoveryResponse odd = response(kClusterType, "2", edsCluster("a"), edsCluster("b"));
  odd.mutable_resources(1)->set_type_url("type.googleapis.com/envoy.api.v2.Cluster");
  EXPECT_FALSE(store_.apply(updateOf(odd)).ok());
  EXPECT_FALSE(store_.snapshot()->clustersListed);
  (void)store_.apply(updateOf(odd));
  mustAccept(response(kClusterType, "3", edsCluster("a")));
  EXPECT_TRUE(store_.snapshot()->changed.all);
}

TEST_F(ResourceStoreTest, AVersionThatWaitsIsAChangeWhenItComesIntoForce) {
  mustAccept(cds(edsCluster("a", 5, "old")));
  mustAccept(eds(assignment("old")));
  (void)store_.snapshot();
  mustAccept(cds(edsCluster("a", 5, "new")));
  EXPECT_TRUE(store_.snapshot()->changed.empty());
  mustAccept(eds(assignment("new")));
  EXPECT_EQ(store_.snapshot()->changed, changes({"a"}, {"new", "old"}, {}));
}

TEST_F(ResourceStoreTest, TheSnapshotStaysTheSameWhileNothingChanges) {
  mustAccept(cds(edsCluster("a")));
  mustAccept(eds(assignment("a")));
  const auto before = store_.snapshot();
  const ApplyResult again = store_.apply(updateOf(eds(assignment("a"))));
  EXPECT_THAT(again.accepted, ElementsAre("a"));
  EXPECT_FALSE(again.changed);
  EXPECT_FALSE(store_.apply(updateOf(eds(assignment("a", 70000)))).changed);
  EXPECT_EQ(store_.snapshot(), before);
}

// The assignment's timer starts anew, as in Envoy. A new object is a change for the compiler.
TEST_F(ResourceStoreTest, AnAssignmentThatGrowsStaleIsNewEachTimeItComes) {
  mustAccept(cds(edsCluster("a")));
  auto mortal = assignment("a");
  mortal.mutable_policy()->mutable_endpoint_stale_after()->set_seconds(5);
  mustAccept(eds(mortal));
  const auto before = store_.snapshot();
  EXPECT_TRUE(store_.apply(updateOf(eds(mortal))).changed);
  const auto after = store_.snapshot();
  EXPECT_NE(after->assignments.at("a"), before->assignments.at("a"));
  EXPECT_EQ(after->assignments.at("a")->localities.size(), 1U);
}

TEST_F(ResourceStoreTest, AnEarlierSnapshotIsNotTouchedByLaterResponses) {
  mustAccept(cds(edsCluster("a")));
  const auto before = store_.snapshot();
  mustAccept(cds(edsCluster("b")));
  EXPECT_THAT(namesOf(before->clusters), ElementsAre("a"));
}

TEST_F(ResourceStoreTest, AResourceThatIsNoProtobufRejectsTheWholeResponse) {
  mustAccept(cds(edsCluster("a", 1)));
  const auto before = store_.snapshot();
  DiscoveryResponse bad = response(kClusterType, "2", edsCluster("a", 2), edsCluster("b"));
  bad.mutable_resources(1)->set_value("\x0a\xff");
  const ApplyResult result = store_.apply(updateOf(bad));
  EXPECT_THAT(result.accepted, IsEmpty());
  EXPECT_FALSE(result.changed);
  EXPECT_EQ(result.message(), "resources[1]: is not a valid envoy.config.cluster.v3.Cluster");
  EXPECT_EQ(store_.snapshot(), before);
}

TEST_F(ResourceStoreTest, OfTwoResourcesWithOneNameTheFirstCounts) {
  const ApplyResult result =
      store_.apply(updateOf(cds(edsCluster("a", 1), edsCluster("a", 2), edsCluster("b"))));
  EXPECT_THAT(result.accepted, ElementsAre("a", "b"));
  EXPECT_EQ(result.message(), "a: is there more than once; the first one counts");
  EXPECT_EQ(cluster("a")->connectTimeout, std::chrono::seconds(1));
}

TEST_F(ResourceStoreTest, AResourceOfAnotherTypeIsRejectedByName) {
  mustAccept(cds(edsCluster("a"), edsCluster("b")));
  const ApplyResult result =
      store_.apply(updateOf(response(kClusterType, "2", listener("x"), edsCluster("b"))));
  EXPECT_THAT(result.accepted, ElementsAre("b"));
  ASSERT_EQ(result.rejected.size(), 1U);
  EXPECT_EQ(result.rejected[0].name, "x");
  EXPECT_THAT(result.rejected[0].reason, HasSubstr("envoy.config.listener.v3.Listener"));
  EXPECT_EQ(cluster("a"), nullptr);
}

TEST_F(ResourceStoreTest, NothingIsRemovedWhileTheNameOfAResourceIsUnknown) {
  mustAccept(cds(edsCluster("a"), edsCluster("b")));
  DiscoveryResponse odd = cds(edsCluster("b"), edsCluster("a"));
  odd.mutable_resources(1)->set_type_url("type.googleapis.com/envoy.api.v2.Cluster");
  EXPECT_FALSE(store_.apply(updateOf(odd)).ok());
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("a", "b"));
}

TEST_F(ResourceStoreTest, AResponseOfATypeThatIsNotOursIsRejected) {
  const ApplyResult result = store_.apply(updateOf(response("type.googleapis.com/foo", "1")));
  EXPECT_EQ(result.message(), "type_url: 'type.googleapis.com/foo' was not asked for");
  EXPECT_THAT(store_.snapshot()->versions, IsEmpty());
}

TEST_F(ResourceStoreTest, WrappedResourcesAreTakenOut) {
  mustAccept(cds(wrap("a", edsCluster("a")), edsCluster("b")));
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("a", "b"));
  mustAccept(eds(wrap("a", assignment("a"))));
  EXPECT_NE(endpoints("a"), nullptr);
}

TEST_F(ResourceStoreTest, AWrapperWithoutContentKeepsWhatIsKnown) {
  mustAccept(cds(edsCluster("a"), edsCluster("b")));
  Resource heartbeat;
  heartbeat.set_name("a");
  mustAccept(cds(heartbeat));
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("a"));
  heartbeat.set_name("unknown");
  EXPECT_THAT(store_.apply(updateOf(cds(heartbeat))).message(),
              HasSubstr("unknown: has no content"));
}

TEST_F(ResourceStoreTest, AWrapperThatNamesAnotherAssignmentIsRejected) {
  mustAccept(cds(edsCluster("a"), edsCluster("b")));
  const ApplyResult result = store_.apply(updateOf(eds(wrap("a", assignment("b")))));
  EXPECT_EQ(result.message(), "a: cluster_name: is 'b', not 'a'");
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
}

TEST_F(ResourceStoreTest, EndpointsArePartialAndOnlyWantedOnesAreKept) {
  mustAccept(cds(edsCluster("a"), edsCluster("b", 5, "service-b")));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "service-b"));
  const ApplyResult result =
      store_.apply(updateOf(eds(assignment("a"), assignment("b"), assignment("stranger", 70000))));
  EXPECT_THAT(result.accepted, ElementsAre("a"));
  EXPECT_TRUE(result.ok()) << result.message();
  mustAccept(eds(assignment("service-b")));
  EXPECT_THAT(namesOf(store_.snapshot()->assignments), ElementsAre("a", "service-b"));
  const auto snapshot = store_.snapshot();
  EXPECT_EQ(snapshot->assignmentOf(*snapshot->clusters.at("b")),
            snapshot->assignments.at("service-b"));
}

TEST_F(ResourceStoreTest, OneBadAssignmentDoesNotBlockTheOthers) {
  mustAccept(cds(edsCluster("a"), edsCluster("b"), edsCluster("c")));
  mustAccept(eds(assignment("b", 1)));
  const auto before = endpoints("b");
  const ApplyResult result =
      store_.apply(updateOf(eds(assignment("a"), assignment("b", 70000), assignment("c"))));
  EXPECT_THAT(result.accepted, ElementsAre("a", "c"));
  EXPECT_THAT(result.message(), HasSubstr("b: endpoints[0].lb_endpoints[0]"));
  EXPECT_EQ(endpoints("b"), before);
}

TEST_F(ResourceStoreTest, AChangedClusterKeepsItsEndpoints) {
  mustAccept(cds(edsCluster("a", 1)));
  mustAccept(eds(assignment("a")));
  const auto before = endpoints("a");
  mustAccept(cds(edsCluster("a", 2)));
  EXPECT_EQ(endpoints("a"), before);
  EXPECT_THAT(missingEndpoints(store_), IsEmpty());
}

TEST_F(ResourceStoreTest, EndpointsThatNoClusterWantsAreForgotten) {
  mustAccept(cds(edsCluster("a", 5, "shared"), edsCluster("b", 5, "shared")));
  mustAccept(eds(assignment("shared")));
  mustAccept(cds(edsCluster("b", 5, "shared")));
  EXPECT_NE(endpoints("shared"), nullptr);
  mustAccept(cds());
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
  mustAccept(cds(edsCluster("a", 5, "shared")));
  EXPECT_THAT(namesOf(missingEndpoints(store_)), ElementsAre("shared"));
}

TEST_F(ResourceStoreTest, MissingEndpointsHaveTheirFetchTimeout) {
  mustAccept(cds(withFetchTimeout(edsCluster("a"), 3), withFetchTimeout(edsCluster("b"), 0),
                 edsCluster("c"), withFetchTimeout(edsCluster("d1", 5, "d"), 3),
                 withFetchTimeout(edsCluster("d2", 5, "d"), 7),
                 withFetchTimeout(edsCluster("e1", 5, "e"), 3),
                 withFetchTimeout(edsCluster("e2", 5, "e"), 0)));
  EXPECT_THAT(missingEndpoints(store_),
              ElementsAre(Pair("a", std::chrono::seconds(3)), Pair("b", Nanos(0)),
                          Pair("c", std::chrono::seconds(15)), Pair("d", std::chrono::seconds(7)),
                          Pair("e", Nanos(0))));
  mustAccept(eds(assignment("a"), assignment("d")));
  EXPECT_THAT(namesOf(missingEndpoints(store_)), ElementsAre("b", "c", "e"));
}

TEST_F(ResourceStoreTest, AnAssignmentThatTimedOutIsEmptyUntilARealOneComes) {
  mustAccept(cds(edsCluster("a")));
  const auto before = store_.snapshot();
  EXPECT_TRUE(store_.fetchTimedOut(endpointsOf("a")));
  EXPECT_NE(store_.snapshot(), before);
  ASSERT_NE(endpoints("a"), nullptr);
  EXPECT_THAT(endpoints("a")->localities, IsEmpty());
  EXPECT_THAT(missingEndpoints(store_), IsEmpty());
  EXPECT_FALSE(store_.fetchTimedOut(endpointsOf("a")));
  mustAccept(eds(assignment("a")));
  EXPECT_THAT(endpoints("a")->localities, Not(IsEmpty()));
}

TEST_F(ResourceStoreTest, ATimeoutThatCameTooLateIsIgnored) {
  mustAccept(cds(edsCluster("a")));
  mustAccept(eds(assignment("a")));
  const auto before = store_.snapshot();
  EXPECT_FALSE(store_.fetchTimedOut(endpointsOf("a")));
  EXPECT_FALSE(store_.fetchTimedOut(endpointsOf("removed")));
  EXPECT_EQ(store_.snapshot(), before);
}

TEST_F(ResourceStoreTest, ListenersThatMakeNoVipAreListedByName) {
  mustAccept(lds(listener("z", "0.0.0.0"), listener("vip"), listener("b", "0.0.0.0", 81)));
  const auto snapshot = store_.snapshot();
  EXPECT_THAT(namesOf(snapshot->listeners), ElementsAre("vip"));
  ASSERT_EQ(snapshot->leftAlone.size(), 2U);
  EXPECT_TRUE(snapshot->leftAlone.contains("b"));
  EXPECT_THAT(snapshot->leftAlone.at("z")->reason, Not(IsEmpty()));
}

TEST_F(ResourceStoreTest, AListenerMayTurnFromAVipToNoneAndBack) {
  mustAccept(lds(listener("l")));
  mustAccept(lds(listener("l", "0.0.0.0")));
  EXPECT_THAT(store_.snapshot()->listeners, IsEmpty());
  mustAccept(lds(listener("l")));
  EXPECT_THAT(store_.snapshot()->leftAlone, IsEmpty());
  EXPECT_FALSE(store_.apply(updateOf(lds(listener("l", "10.0.0.1", 70000)))).ok());
  EXPECT_THAT(namesOf(store_.snapshot()->listeners), ElementsAre("l"));
}

TEST(ApplyResultTest, TheMessageIsCutWhereItGrowsTooLong) {
  ApplyResult result;
  for (int i = 0; i < 100; ++i) {
    result.rejected.push_back({"c" + std::to_string(i), std::string(94, 'x')});
  }
  const std::string message = result.message();
  EXPECT_LT(message.size(), 4200U);
  EXPECT_TRUE(message.starts_with("c0: xxx")) << message;
  EXPECT_THAT(message, HasSubstr("; c1: x"));
  EXPECT_TRUE(message.ends_with("; and 60 more")) << message.substr(message.size() - 40);
}

TEST(ApplyResultTest, ALongReasonIsNotCutInsideACharacter) {
  ApplyResult result;
  result.rejected.push_back({"", "x" + std::string(4094, 'y') + "\u00e4\u00e4"});
  EXPECT_EQ(result.message(), "x" + std::string(4094, 'y') + "...");
}

}  // namespace
}  // namespace sockmesh
