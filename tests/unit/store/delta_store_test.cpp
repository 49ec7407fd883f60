// SPDX-License-Identifier: Apache-2.0
// What delta updates do to what is held, by the rules of each type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/resource_store.h"
#include "unit/decode/resources.h"
#include "unit/store/missing.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

template <typename Proto>
Resource versioned(const std::string& name, const std::string& version, const Proto& proto) {
  Resource resource = wrap(name, proto);
  resource.set_version(version);
  return resource;
}

class DeltaStore : public ::testing::Test {
 protected:
  template <typename... Resources>
  ApplyResult apply(std::string_view type, const std::vector<std::string>& removed,
                    const Resources&... resources) {
    DeltaDiscoveryResponse response;
    response.set_type_url(std::string(type));
    (static_cast<void>(*response.add_resources() = resources), ...);
    for (const std::string& name : removed) response.add_removed_resources(name);
    return store_.apply(updateOf(response), now_);
  }
  std::vector<std::string> clusters() { return namesOf(store_.snapshot()->clusters); }
  ResourceVersions versions(std::string_view type) {
    return store_.versions(*findResourceType(type));
  }
  std::uint32_t portOf(const std::string& assignment) {
    return store_.snapshot()
        ->assignments.at(assignment)
        ->localities.at(0)
        .endpoints[0]
        .address.port;
  }

  ResourceStore store_;
  Nanos now_{0};
};

TEST_F(DeltaStore, ClustersGoOnlyWhenTheyAreRemovedByName) {
  EXPECT_TRUE(apply(kClusterType, {}, wrap("a", edsCluster("a")), wrap("b", edsCluster("b"))).ok());
  EXPECT_TRUE(apply(kClusterType, {}, wrap("c", edsCluster("c"))).ok());
  EXPECT_THAT(clusters(), ElementsAre("a", "b", "c"));
  const ApplyResult result = apply(kClusterType, {"b", "unknown"});
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(result.changed);
  EXPECT_THAT(clusters(), ElementsAre("a", "c"));
}

TEST_F(DeltaStore, TheFirstUpdateOfEachWildcardMakesTheSnapshotComplete) {
  apply(kClusterType, {}, wrap("a", edsCluster("a")));
  EXPECT_FALSE(store_.snapshot()->complete);
  apply(kListenerType, {});
  EXPECT_TRUE(store_.snapshot()->complete);
  EXPECT_TRUE(store_.snapshot()->clustersListed);
}

TEST_F(DeltaStore, EachResourceHasItsOwnVersionWhichARefusalDoesNotMove) {
  apply(kClusterType, {}, versioned("a", "1", edsCluster("a")),
        versioned("b", "1", edsCluster("b")));
  const ApplyResult result = apply(kClusterType, {}, versioned("a", "2", badCluster("a")),
                                   versioned("b", "2", edsCluster("b", 7)));
  EXPECT_THAT(result.rejected, ::testing::SizeIs(1));
  EXPECT_THAT(versions(kClusterType), ElementsAre(Pair("a", "1"), Pair("b", "2")));
  apply(kClusterType, {"a"}, versioned("b", "3", edsCluster("b", 7)));
  EXPECT_THAT(versions(kClusterType), ElementsAre(Pair("b", "3")));
}

TEST_F(DeltaStore, WhatCameAsStateOfTheWorldIsHeldWithoutAVersion) {
  store_.apply(updateOf(cds(edsCluster("a"))));
  EXPECT_THAT(versions(kClusterType), ElementsAre(Pair("a", "")));
}

TEST_F(DeltaStore, TheSameAgainChangesNothing) {
  apply(kClusterType, {}, versioned("a", "1", edsCluster("a")));
  const auto before = store_.snapshot();
  EXPECT_FALSE(apply(kClusterType, {}, versioned("a", "2", edsCluster("a"))).changed);
  EXPECT_EQ(store_.snapshot(), before);
}

TEST_F(DeltaStore, EndpointsThatTheServerDoesNotHaveMayStillCome) {
  apply(kClusterType, {}, wrap("a", edsCluster("a")));
  const ApplyResult result = apply(kAssignmentType, {"a", "not wanted"});
  EXPECT_TRUE(result.ok());
  EXPECT_THAT(missingEndpoints(store_), ElementsAre(Key("a"))) << "the time-out decides";
  apply(kAssignmentType, {}, wrap("a", assignment("a", 81)));
  EXPECT_EQ(portOf("a"), 81U) << "the name stays subscribed";
}

TEST_F(DeltaStore, EndpointsThatCameStayWhileAClusterWantsThem) {
  apply(kClusterType, {}, wrap("a", edsCluster("a")));
  apply(kAssignmentType, {}, versioned("a", "5", assignment("a", 81)));
  EXPECT_THAT(versions(kAssignmentType), ElementsAre(Pair("a", "5")));
  EXPECT_TRUE(apply(kAssignmentType, {"a"}).ok());
  EXPECT_EQ(portOf("a"), 81U);
  EXPECT_THAT(versions(kAssignmentType), ElementsAre(Pair("a", ""))) << "the server has none";
  apply(kClusterType, {"a"});
  EXPECT_THAT(store_.snapshot()->assignments, IsEmpty());
}

TEST_F(DeltaStore, ANameThatIsThereTwiceIsRefusedAndStays) {
  apply(kClusterType, {}, wrap("a", edsCluster("a")), wrap("b", edsCluster("b")));
  const ApplyResult overlap = apply(kClusterType, {"a"}, wrap("a", edsCluster("a", 9)));
  EXPECT_THAT(overlap.message(), HasSubstr("a: is in removed_resources more than once, or in"));
  const ApplyResult twice = apply(kClusterType, {"b", "b"});
  EXPECT_THAT(twice.message(), HasSubstr("b: is in removed_resources more than once"));
  const ApplyResult same =
      apply(kClusterType, {}, wrap("c", edsCluster("c", 1)), wrap("c", edsCluster("c", 2)));
  EXPECT_THAT(same.message(), HasSubstr("c: is there more than once"));
  EXPECT_THAT(clusters(), ElementsAre("a", "c")) << "b was removed once";
  const ApplyResult endpoints = apply(kAssignmentType, {"a"}, wrap("a", assignment("a", 82)));
  EXPECT_FALSE(endpoints.ok());
  EXPECT_EQ(portOf("a"), 82U);
}

TEST_F(DeltaStore, AWrapperWithAnotherNameIsRefused) {
  const ApplyResult result = apply(kClusterType, {}, wrap("x", edsCluster("a")));
  EXPECT_EQ(result.message(), "x: name: is 'a', not 'x'");
  EXPECT_THAT(clusters(), IsEmpty());
  EXPECT_TRUE(apply(kClusterType, {}, wrap("", edsCluster("a"))).ok());
}

TEST_F(DeltaStore, AHeartbeatIsForTheVersionThatIsHeld) {
  Resource mortal = versioned("a", "1", edsCluster("a"));
  mortal.mutable_ttl()->set_seconds(10);
  apply(kClusterType, {}, mortal);
  mortal.clear_resource();
  now_ = std::chrono::seconds(8);
  EXPECT_TRUE(apply(kClusterType, {}, mortal).ok());
  EXPECT_EQ(store_.nextExpiry(), Nanos(std::chrono::seconds(18)));
  mortal.set_version("2");
  EXPECT_THAT(apply(kClusterType, {}, mortal).message(),
              HasSubstr("a: has no content, and version \"2\" where \"1\" is held"));
  EXPECT_THAT(clusters(), ElementsAre("a"));
  EXPECT_THAT(store_.expire(std::chrono::seconds(18)), ::testing::SizeIs(1));
  EXPECT_THAT(clusters(), IsEmpty());
  EXPECT_THAT(versions(kClusterType), IsEmpty()) << "so the server sends it again";
}

TEST_F(DeltaStore, AnAliasThatIsWantedGetsTheResource) {
  apply(kClusterType, {}, wrap("a", edsCluster("a", 5, "short")));
  Resource resource = versioned("long", "1", assignment("long", 83));
  resource.add_aliases("short");
  EXPECT_TRUE(apply(kAssignmentType, {}, resource).ok());
  EXPECT_EQ(portOf("short"), 83U);
  EXPECT_THAT(versions(kAssignmentType), ElementsAre(Pair("short", "1")));
}

TEST_F(DeltaStore, AnAliasThatTheServerCannotResolveMayBeResolvedLater) {
  apply(kClusterType, {}, wrap("a", edsCluster("a", 5, "short")));
  Resource unresolved;
  unresolved.set_name("whatever");
  unresolved.add_aliases("short");
  EXPECT_TRUE(apply(kAssignmentType, {}, unresolved).ok());
  EXPECT_THAT(missingEndpoints(store_), ElementsAre(Key("short")));
}

}  // namespace
}  // namespace sockmesh
