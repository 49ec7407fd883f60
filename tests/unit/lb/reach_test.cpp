// SPDX-License-Identifier: Apache-2.0
// What sockets that reach one address family choose from.
#include <gtest/gtest.h>

#include "lb/hash.h"
#include "lb/reach.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;

constexpr const char* kSix = "[fd00:96::1]:80";

SocketAddress six(int number) {
  return at("[fd00::" + std::to_string(number) + "]:80");
}

// Hosts 1, 2 have IPv4; 11, 12 IPv6; 21 both, IPv6 first. 1, 11 and 21 weigh twice as much.
LoadAssignment mixed() {
  LoadAssignment made = assignment({locality("a", 0, 1, 2, 2)});
  auto& hosts = made.localities[0].endpoints;
  for (const int number : {11, 12, 21}) {
    hosts.push_back(endpoint(number));
    hosts.back().address = six(number);
  }
  hosts.back().otherAddress = host(21);
  for (const std::size_t heavy : {0U, 2U, 4U}) hosts[heavy].weight = 2;
  return made;
}

LoadAssignment onlyOf(Reach reach) {
  return reachable(mixed(), reach);
}

std::shared_ptr<const LbTables> compiled(const Cluster& c, const LoadAssignment& given) {
  SnapshotBuilder builder;
  builder.put(c, given).listen("l", {kVip, kSix}, {{c.name, 1, {}}}, true);
  return Compiler({}).compile(builder.snapshot(), {}, std::chrono::seconds(1));
}

const LbService& only(const LbService& service, Reach reach) {
  return reach == Reach::kIpv4 ? *service.ipv4Only : *service.ipv6Only;
}

std::string nameOf(LbPolicy policy) {
  return "policy " + std::to_string(static_cast<int>(policy));
}

TEST(Reach, SharesAndPicksAreThoseOfTheHostsWithinReachAlone) {
  for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kRandom, LbPolicy::kLeastRequest,
                                LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    for (const Reach reach : {Reach::kIpv4, Reach::kIpv6}) {
      const Cluster c = cluster("c", policy);
      const auto tables = compiled(c, mixed());
      const auto plain = compiled(c, onlyOf(reach));
      for (const char* vip : {kVip, kSix}) {
        const LbService& service = only(test::at(*tables, vip), reach);
        const LbService& expected = test::at(*plain, vip);
        EXPECT_EQ(shareOf(service).endpoints, shareOf(expected).endpoints) << nameOf(policy);
        EXPECT_EQ(shareOf(service).endpoints.size(), 3U);
        EXPECT_EQ(service.vip, expected.vip);
        if (policy != LbPolicy::kMaglev && policy != LbPolicy::kRingHash) continue;
        for (int i = 0; i < 100; ++i) {
          const std::uint64_t hash = xxHash64(std::to_string(i));
          EXPECT_EQ(*pickByHash(service, hash), *pickByHash(expected, hash));
        }
      }
      EXPECT_EQ(shareOf(test::at(*tables)).endpoints.size(), 5U) << "an IPv6 socket reaches all";
    }
  }
}

TEST(Reach, NothingIsDoubledWhereTheVipsFamilyLeadsToEveryHost) {
  LoadAssignment four = assignment({locality("a", 0, 1, 3, 3)});
  const auto tables = compiled(cluster("c"), four);
  EXPECT_EQ(test::at(*tables, kVip).ipv4Only, nullptr);
  EXPECT_EQ(test::at(*tables, kVip).ipv6Only, nullptr);
  for (Endpoint& one : four.localities[0].endpoints) one.otherAddress = six(1);
  const auto dual = compiled(cluster("c"), four);
  for (const char* vip : {kVip, kSix}) {
    EXPECT_EQ(test::at(*dual, vip).ipv4Only, nullptr);
    EXPECT_EQ(test::at(*dual, vip).ipv6Only, nullptr);
  }
}

TEST(Reach, WhereNoHostIsWithinReachItIsRefusedForThat) {
  const auto four = compiled(cluster("c"), assignment({locality("a", 0, 1, 3, 3)}));
  const LbService& viaSix = test::at(*four, kSix);
  ASSERT_NE(viaSix.ipv6Only, nullptr);
  EXPECT_EQ(viaSix.ipv6Only->groups[0]->policy, SM_POLICY_REFUSE);
  EXPECT_EQ(viaSix.ipv6Only->groups[0]->reason, SM_REASON_NO_REACHABLE);
  EXPECT_EQ(viaSix.groups[0]->hosts.size(), 3U);
  const auto empty = compiled(cluster("c"), assignment({}));
  EXPECT_EQ(test::at(*empty, kSix).ipv6Only, nullptr) << "no endpoints at all is another reason";
}

// As if only the hosts within reach existed: health, panic and priorities are theirs.
TEST(Reach, PrioritiesFollowTheHealthOfTheHostsWithinReach) {
  LoadAssignment given = assignment({locality("a", 0, 1, 1, 0, 0), locality("a", 0, 5, 1, 1, 1)});
  for (const int number : {11, 12, 13}) {
    given.localities[0].endpoints.push_back(endpoint(number));
    given.localities[0].endpoints.back().address = six(number);
  }
  const auto tables = compiled(cluster("c"), given);
  const ServiceShares four = shareOf(*test::at(*tables).ipv4Only);
  EXPECT_NEAR(shareOfHost(four, 5), 1, 1e-9) << "priority 0 has no healthy IPv4 host";
  EXPECT_NEAR(shareOf(test::at(*tables)).endpoints.at({"c", six(11)}), 1.0 / 3, 1e-9);
}

TEST(Reach, ALegOfASplitWithoutAHostWithinReachRefusesItsPart) {
  LoadAssignment sixes = assignment({locality("a", 0, 1, 1, 1)});
  sixes.localities[0].endpoints[0].address = six(1);
  const auto service = serviceOf({{cluster("c"), assignment({locality("a", 0, 1, 1, 1)}), 3, {}},
                                  {cluster("d"), sixes, 1, {}}});
  ASSERT_NE(service->ipv4Only, nullptr);
  const ServiceShares shares = shareOf(*service->ipv4Only);
  EXPECT_NEAR(shareOfHost(shares, 1), 0.75, 1e-9);
  EXPECT_NEAR(shares.refused, 0.25, 1e-9);
  EXPECT_NEAR(shareOf(*service).refused, 0, 1e-9);
}

TEST(Reach, ASubsetOfHostsOutOfReachIsNoneForThisSocket) {
  LoadAssignment given = mixed();
  given.localities[0].endpoints[2].lbMetadata.edit()["version"].value = std::string("v2");
  Cluster c = cluster("c");
  c.lb.subset.emplace();
  c.lb.subset->selectors = {{{"version"}, SubsetSelector::Fallback::kNotDefined, {}}};
  MetadataStruct criteria;
  criteria["version"].value = std::string("v2");
  const auto refused = serviceOf({{c, given, 1, criteria}});
  EXPECT_EQ(refused->ipv4Only->groups[0]->reason, SM_REASON_NO_REACHABLE);
  EXPECT_EQ(refused->groups[0]->hosts, (std::vector{six(11)}));
  c.lb.subset->fallback = SubsetConfig::Fallback::kAnyEndpoint;
  EXPECT_EQ(serviceOf({{c, given, 1, criteria}})->ipv4Only->groups[0]->hosts.size(), 3U);
}

TEST(Reach, WhatDoesNotChangeStaysTheSameObject) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), mixed()).listen("l", {kVip}, {{"c", 1, {}}});
  Compiler compiler({});
  const auto before = compiler.compile(builder.snapshot(), {}, std::chrono::seconds(1));
  builder.put(cluster("c"), mixed());
  const auto after = compiler.compile(builder.snapshot(), {}, std::chrono::seconds(2));
  EXPECT_EQ(before->services.begin()->second, after->services.begin()->second);
  LoadAssignment other = mixed();
  other.localities[0].endpoints[4].otherAddress = host(22);
  builder.put(cluster("c"), other);
  const auto changed = compiler.compile(builder.snapshot(), {}, std::chrono::seconds(3));
  EXPECT_NE(*before->services.begin()->second, *changed->services.begin()->second)
      << "another second address is another endpoint";
}

}  // namespace
}  // namespace sockmesh
