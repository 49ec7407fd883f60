// SPDX-License-Identifier: Apache-2.0
#include "daemon/unknowns_finder.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

std::shared_ptr<const Cluster> edsCluster(const std::string& name) {
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->edsName = name + "-eds";
  return cluster;
}

XdsStats rejected(const std::string& type, std::vector<std::string> names) {
  XdsStats xds;
  for (const char* known : {"CDS", "EDS", "LDS", "RDS"}) {
    xds.types.emplace_back().type = known;
    if (type == known) xds.types.back().rejectedResources = std::move(names);
  }
  return xds;
}

TEST(UnknownsTest, RejectedListenersWithoutAGoodVersion) {
  Snapshot snapshot;
  snapshot.listeners["held"] = std::make_shared<const Listener>();
  snapshot.leftAlone["no-vip"] = std::make_shared<const LeftAlone>(LeftAlone{"no-vip", "wildcard"});
  const Unknowns unknowns = UnknownsFinder().of(snapshot, rejected("LDS", {"held", "no-vip", "x"}));
  EXPECT_EQ(unknowns.listeners, (std::set<std::string>{"x"}));
  EXPECT_FALSE(unknowns.anyListener);
  EXPECT_TRUE(unknowns.clusters.empty());
}

TEST(UnknownsTest, AListenerWithoutItsRoutes) {
  Snapshot snapshot;
  snapshot.missingRoutes = {{"waits", "80", false}, {"timed-out", "81", true}, {"bad", "82", true}};
  const Unknowns unknowns = UnknownsFinder().of(snapshot, rejected("RDS", {"82"}));
  EXPECT_EQ(unknowns.listeners, (std::set<std::string>{"bad", "waits"}));
}

TEST(UnknownsTest, AnUnknownListenerHasAllItsParts) {
  Unknowns unknowns;
  unknowns.listeners = {"0.0.0.0_80", "a/b"};
  for (const char* part : {"0.0.0.0_80", "0.0.0.0_80/web/x", "a/b", "a/b/c"}) {
    EXPECT_TRUE(unknowns.mayHave(part)) << part;
  }
  for (const char* other : {"0.0.0.0_8080", "0.0.0.0_8", "a", "a/bc"}) {
    EXPECT_FALSE(unknowns.mayHave(other)) << other;
  }
}

TEST(UnknownsTest, RejectedClustersWithoutAGoodVersion) {
  Snapshot snapshot;
  snapshot.clusters["held"] = edsCluster("held");
  EXPECT_EQ(UnknownsFinder().of(snapshot, rejected("CDS", {"held", "x"})).clusters,
            (std::set<std::string>{"x"}));
}

TEST(UnknownsTest, ARejectedAssignmentIsUnknownWhereNoneIsKnown) {
  Snapshot snapshot;
  for (const char* name : {"good", "none", "empty", "well"}) {
    snapshot.clusters[name] = edsCluster(name);
  }
  auto good = std::make_shared<LoadAssignment>();
  good->localities.emplace_back().endpoints.emplace_back();
  snapshot.assignments["good-eds"] = good;
  snapshot.assignments["empty-eds"] = std::make_shared<const LoadAssignment>();
  snapshot.assignments["well-eds"] = std::make_shared<const LoadAssignment>();
  EXPECT_EQ(UnknownsFinder()
                .of(snapshot, rejected("EDS", {"empty-eds", "good-eds", "none-eds"}))
                .clusters,
            (std::set<std::string>{"empty", "none"}));
}

TEST(UnknownsTest, AResourceWithoutAReadableNameMayBeAnyThatIsMissing) {
  Snapshot snapshot;
  snapshot.clusters["there"] = edsCluster("there");
  auto listener = std::make_shared<Listener>();
  listener->route.clusters.resize(2);
  listener->route.clusters[0].name = "there";
  listener->route.clusters[1].name = "missing";
  snapshot.listeners["l"] = listener;
  XdsStats xds = rejected("", {});
  EXPECT_EQ(UnknownsFinder().of(snapshot, xds), Unknowns{});
  for (XdsTypeStats& type : xds.types) type.unnamedRejected = true;
  const Unknowns unknowns = UnknownsFinder().of(snapshot, xds);
  EXPECT_TRUE(unknowns.anyListener);
  EXPECT_EQ(unknowns.clusters, (std::set<std::string>{"missing"}));
}

}  // namespace
}  // namespace sockmesh
