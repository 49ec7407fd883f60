// SPDX-License-Identifier: Apache-2.0
// Listeners and their route configurations, as snapshots show them: who waits for whom, and what a
// changed route configuration changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "istio/networking/nds/v1/nds.pb.h"
#include "store/resource_store.h"
#include "unit/decode/route_resources.h"

namespace sockmesh {
namespace {

using namespace xds_test;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const ResourceType& rdsType() {
  return *findResourceType(kRouteType);
}

class RouteWarming : public ::testing::Test {
 protected:
  void accept(const DiscoveryResponse& given) {
    const ApplyResult result = store_.apply(updateOf(given));
    ASSERT_TRUE(result.ok()) << result.message();
  }
  void clusters(const std::vector<std::string>& names) {
    DiscoveryResponse list = cds();
    for (const auto& name : names) list.add_resources()->PackFrom(edsCluster(name));
    accept(list);
    for (const auto& name : names) accept(eds(assignment(name)));
  }
  // "VIP -> clusters"
  std::vector<std::string> served() {
    std::vector<std::string> lines;
    for (const auto& [name, part] : store_.snapshot()->listeners) {
      for (const Vip& vip : part->addresses) {
        std::string line = vip.toString() + " ->";
        for (const auto& leg : part->route.clusters) line += " " + *leg.name;
        lines.push_back(line);
      }
    }
    return lines;
  }
  void serve() {
    clusters({"a", "b"});
    accept(lds(httpListener("w", 80, "80")));
    accept(rds(routes("80", host("a", "'10.0.0.1'", routeTo("a")))));
  }

  ResourceStore store_;
};

TEST_F(RouteWarming, RoutesOfListenersAreSubscribedTo) {
  clusters({"a"});
  accept(lds(httpListener("w", 80, "80"), httpListener("x", 81, "81"), listener("tcp")));
  EXPECT_THAT(store_.wanted(rdsType()), ElementsAre("80", "81"));
  EXPECT_THAT(store_.snapshot()->missingRoutes, testing::SizeIs(2));
  accept(rds(routes("80", host("a", "'10.0.0.1'", routeTo("a")))));
  EXPECT_THAT(served(), UnorderedElementsAre("10.0.0.1:80 -> c", "10.0.0.1:80 -> a"));
  EXPECT_THAT(store_.snapshot()->missingRoutes, testing::SizeIs(1));
  accept(lds(listener("tcp")));
  EXPECT_THAT(store_.wanted(rdsType()), IsEmpty());
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> c"));
}

TEST_F(RouteWarming, AChangedRouteConfigurationChangesItsVipsAlone) {
  serve();
  store_.snapshot();
  accept(rds(
      routes("80", host("a", "'10.0.0.1'", routeTo("a")) + host("b", "'10.0.0.2'", routeTo("b")))));
  auto before = store_.snapshot();
  EXPECT_THAT(before->changed.listeners, ElementsAre("w/b"));
  accept(rds(routes("80", host("a", "'10.0.0.1', '10.0.0.3'", routeTo("a")) +
                              host("b", "'10.0.0.2'", routeTo("b")))));
  const auto after = store_.snapshot();
  EXPECT_THAT(after->changed.listeners, ElementsAre("w/a"));
  EXPECT_EQ(after->listeners.at("w/b"), before->listeners.at("w/b")) << "the same object";
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> a", "10.0.0.3:80 -> a", "10.0.0.2:80 -> b"));
  accept(rds(routes("80", host("b", "'10.0.0.2'", routeTo("b")))));
  EXPECT_THAT(served(), ElementsAre("10.0.0.2:80 -> b"));
}

TEST_F(RouteWarming, AListenerKeepsItsRoutesUntilThoseOfItsNewNameHaveCome) {
  serve();
  accept(lds(httpListener("w", 80, "new")));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> a"));
  EXPECT_THAT(store_.wanted(rdsType()), ElementsAre("80", "new"));
  ASSERT_EQ(store_.snapshot()->held.size(), 1U);
  EXPECT_THAT(store_.snapshot()->held[0].why, HasSubstr("waits for the routes of new"));
  accept(rds(routes("new", host("a", "'10.0.0.1'", routeTo("b")))));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> b"));
  EXPECT_THAT(store_.wanted(rdsType()), ElementsAre("new"));
}

TEST_F(RouteWarming, ATimeOutEndsTheWait) {
  serve();
  accept(lds(httpListener("w", 80, "new", 5)));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> a"));
  const ResourceKey key{&rdsType(), "new"};
  ASSERT_TRUE(store_.missing().contains(key));
  EXPECT_EQ(store_.missing().at(key), seconds(5));
  EXPECT_FALSE(store_.fetchRejected(key)) << "what serves goes on until the time-out";
  EXPECT_TRUE(store_.fetchTimedOut(key));
  EXPECT_THAT(served(), IsEmpty());
  EXPECT_TRUE(store_.snapshot()->missingRoutes.at(0).countsAsEmpty);
  accept(rds(routes("new", host("a", "'10.0.0.1'", routeTo("b")))));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> b"));
}

TEST_F(RouteWarming, ARouteToAClusterWithoutEndpointsYetKeepsTheOldOne) {
  serve();
  accept(cds(edsCluster("a"), edsCluster("b"), edsCluster("late")));
  accept(rds(routes("80", host("a", "'10.0.0.1'", routeTo("late")))));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> a"));
  accept(eds(assignment("late")));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> late"));
}

TEST_F(RouteWarming, WhatDoesNotNeedTheRoutesDoesNotWaitForThem) {
  clusters({"c"});
  accept(lds(listenerOf("l", "10.0.0.1", 80,
                        chainOf(kHttpMatch, managerOf(rdsSpecifier("r"))) +
                            "default_filter_chain { " + proxyTo("c") + "}")));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> c"));
}

TEST_F(RouteWarming, BadRoutesLeaveTheLastGoodOnesInForce) {
  serve();
  const ApplyResult result =
      store_.apply(updateOf(rds(routes("80", host("a", "'10.0.0.1'", routeTo(""))))));
  EXPECT_THAT(result.message(), HasSubstr("80: virtual_hosts[0].routes[0].route.cluster"));
  EXPECT_THAT(served(), ElementsAre("10.0.0.1:80 -> a"));
}

// Other control planes than istiod may not know the type.
TEST_F(RouteWarming, TheNameTableIsAskedForWhereIstiodsRoutesNameAddresses) {
  const ResourceType& names = *findResourceType(kNameTableType);
  serve();
  EXPECT_FALSE(store_.needs(names));
  accept(
      rds(routes("80", host("a", "'a.example', '10.0.0.1'", routeTo("outbound|80||a.example")))));
  EXPECT_TRUE(store_.needs(names));
  istio::networking::nds::v1::NameTable table;
  (*table.mutable_table())["a.example"].add_ips("10.0.0.2");
  accept(response(kNameTableType, "1", table));
  EXPECT_THAT(served(), UnorderedElementsAre("10.0.0.1:80 -> outbound|80||a.example",
                                             "10.0.0.2:80 -> outbound|80||a.example"));
}

TEST_F(RouteWarming, NamesOfPartsAreUniqueAmongListeners) {
  clusters({"a", "b"});
  accept(lds(httpListener("w", 80, "80"), listenerTo({"b"}, "w/a", "10.0.0.9")));
  accept(rds(routes("80", host("a", "'10.0.0.1'", routeTo("a")))));
  EXPECT_THAT(served(), UnorderedElementsAre("10.0.0.1:80 -> a", "10.0.0.9:80 -> b"));
}

TEST_F(RouteWarming, AListenerThatGoesTakesAllItsPartsAlong) {
  serve();
  accept(lds());
  EXPECT_THAT(served(), IsEmpty());
  EXPECT_THAT(store_.snapshot()->leftAlone, IsEmpty());
  EXPECT_EQ(store_.count(*findResourceType(kListenerType)), 0U);
  EXPECT_EQ(store_.count(rdsType()), 0U);
}

}  // namespace
}  // namespace sockmesh
