// SPDX-License-Identifier: Apache-2.0
// Subsets of a cluster by metadata.
#include <gtest/gtest.h>

#include "lb/share.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;
using Fallback = SubsetSelector::Fallback;

MetadataValue text(const std::string& value) {
  return {value};
}

MetadataStruct metadata(std::initializer_list<std::pair<const char*, const char*>> pairs) {
  MetadataStruct made;
  for (const auto& [key, value] : pairs) made[key] = text(value);
  return made;
}

// Hosts 1 and 2 are v1, 3 is v2 (stage prod); 4 has no metadata.
LoadAssignment versions() {
  LoadAssignment made = assignment({locality("a", 0, 1, 4, 4)});
  auto& hosts = made.localities[0].endpoints;
  hosts[0].lbMetadata = metadata({{"version", "v1"}, {"stage", "prod"}});
  hosts[1].lbMetadata = metadata({{"version", "v1"}, {"stage", "dev"}});
  hosts[2].lbMetadata = metadata({{"version", "v2"}, {"stage", "prod"}});
  return made;
}

SubsetConfig byVersion() {
  SubsetConfig config;
  config.selectors = {{{"version"}, Fallback::kNotDefined, {}}};
  return config;
}

std::shared_ptr<const LbService> chosen(const SubsetConfig& config, const MetadataStruct& criteria,
                                        const LoadAssignment& given = versions()) {
  Cluster c = cluster("c");
  c.lb.subset = config;
  return serviceOf({{c, given, 1, criteria}});
}

std::vector<SocketAddress> hostsFor(const SubsetConfig& config, const MetadataStruct& criteria,
                                    const LoadAssignment& given = versions()) {
  return chosen(config, criteria, given)->groups[0]->hosts;
}

const std::vector<SocketAddress> kAll = {host(1), host(2), host(3), host(4)};
const std::vector<SocketAddress> kNone;

TEST(Subset, KeepsTheHostsThatMatch) {
  EXPECT_EQ(hostsFor(byVersion(), metadata({{"version", "v1"}})), (std::vector{host(1), host(2)}));
  EXPECT_EQ(hostsFor(byVersion(), metadata({{"version", "v2"}})), (std::vector{host(3)}));
}

TEST(Subset, NoFallbackRefuses) {
  for (const auto& criteria :
       {metadata({{"version", "v9"}}), metadata({{"color", "red"}}), MetadataStruct{},
        metadata({{"version", "v1"}, {"stage", "prod"}})}) {
    const auto service = chosen(byVersion(), criteria);
    EXPECT_EQ(service->groups[0]->policy, SM_POLICY_REFUSE);
    EXPECT_EQ(service->groups[0]->reason, SM_REASON_NO_SUBSET);
  }
}

TEST(Subset, FallsBackToAnyOrToTheDefault) {
  SubsetConfig config = byVersion();
  config.fallback = SubsetConfig::Fallback::kAnyEndpoint;
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kAll);
  EXPECT_EQ(hostsFor(config, {}), kAll);
  config.fallback = SubsetConfig::Fallback::kDefaultSubset;
  config.defaultSubset = metadata({{"stage", "prod"}});
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), (std::vector{host(1), host(3)}));
  config.defaultSubset = metadata({{"stage", "gone"}});
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kNone);
  config.panicModeAny = true;
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kAll);
}

TEST(Subset, ASelectorsOwnFallbackWins) {
  SubsetConfig config = byVersion();
  config.selectors[0].fallback = Fallback::kAnyEndpoint;
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kAll);
  EXPECT_EQ(hostsFor(config, metadata({{"color", "red"}})), kNone) << "not this selector's keys";
  config.fallback = SubsetConfig::Fallback::kAnyEndpoint;
  config.selectors[0].fallback = Fallback::kNoFallback;
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kNone);
}

// A selector's fallback is noted where it adds its last key to the tree of all selectors' keys.
TEST(Subset, ASelectorBehindALongerOneThatBeginsLikeItHasNoFallbackOfItsOwn) {
  for (const Fallback longer :
       {Fallback::kNotDefined, Fallback::kNoFallback, Fallback::kAnyEndpoint}) {
    SubsetConfig config;
    config.selectors = {{{"version", "zone"}, longer, {}},
                        {{"version"}, Fallback::kAnyEndpoint, {}}};
    EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kNone);
    std::swap(config.selectors[0], config.selectors[1]);
    EXPECT_EQ(hostsFor(config, metadata({{"version", "v9"}})), kAll);
  }
}

// The default subset is version v2: host 3, of this health.
SubsetConfig panicAny() {
  SubsetConfig config = byVersion();
  config.fallback = SubsetConfig::Fallback::kDefaultSubset;
  config.defaultSubset = metadata({{"version", "v2"}});
  config.panicModeAny = true;
  return config;
}
LoadAssignment defaultSubsetIs(EdsHealth health) {
  LoadAssignment made = versions();
  made.localities[0].endpoints[2].health = health;
  return made;
}
std::shared_ptr<const LbService> withoutPanic(const SubsetConfig& config, EdsHealth health,
                                              LbPolicy policy = LbPolicy::kRoundRobin) {
  Cluster c = cluster("c", policy);
  c.lb.subset = config;
  c.lb.healthyPanicThresholdPercent = 0;
  return serviceOf({{c, defaultSubsetIs(health), 1, metadata({{"version", "v9"}})}});
}

TEST(Subset, PanicModeAnyIsForHostsThatCannotBeUsed) {
  const std::vector<SocketAddress> others = {host(1), host(2), host(4)};
  EXPECT_EQ(withoutPanic(panicAny(), EdsHealth::kHealthy)->groups[0]->hosts,
            (std::vector{host(3)}));
  EXPECT_EQ(withoutPanic(panicAny(), EdsHealth::kUnhealthy)->groups[0]->hosts, others);
  EXPECT_EQ(withoutPanic(panicAny(), EdsHealth::kDegraded)->groups[0]->hosts,
            (std::vector{host(3)}))
      << "a degraded host can be used";
  for (const LbPolicy hashing : {LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    EXPECT_EQ(withoutPanic(panicAny(), EdsHealth::kDegraded, hashing)->groups[0]->hosts, others)
        << "the tables of hash policies have healthy hosts alone";
  }
  EXPECT_EQ(
      chosen(panicAny(), metadata({{"version", "v9"}}), defaultSubsetIs(EdsHealth::kUnhealthy))
          ->groups[0]
          ->hosts,
      (std::vector{host(3)}))
      << "the default subset is in panic itself";
}

TEST(Subset, PanicModeAnyIsNoSelectorsAndNoMatchesOwn) {
  for (const Fallback own : {Fallback::kNoFallback, Fallback::kDefaultSubset}) {
    SubsetConfig config = panicAny();
    config.selectors[0].fallback = own;
    EXPECT_EQ(withoutPanic(config, EdsHealth::kUnhealthy)->groups[0]->policy, SM_POLICY_REFUSE);
  }
  Cluster c = cluster("c");
  c.lb.subset = panicAny();
  c.lb.healthyPanicThresholdPercent = 0;
  const auto matched =
      serviceOf({{c, defaultSubsetIs(EdsHealth::kUnhealthy), 1, metadata({{"version", "v2"}})}});
  EXPECT_EQ(matched->groups[0]->policy, SM_POLICY_REFUSE);
}

// By hash mod 100: what the first priority's part of the default subset cannot serve.
TEST(Subset, PanicModeAnyTakesThePartThatFindsNoHost) {
  LoadAssignment given = assignment({locality("a", 0, 1, 2, 2, 0), locality("a", 0, 3, 2, 2, 1)});
  for (int p = 0; p < 2; ++p) {
    given.localities[static_cast<std::size_t>(p)].endpoints[0].lbMetadata =
        metadata({{"version", "v2"}});
  }
  // Of the default subset: priority 0 is degraded, priority 1 healthy in half of its hosts.
  given.localities[0].endpoints[0].health = EdsHealth::kDegraded;
  Endpoint sick = endpoint(9, 1, EdsHealth::kUnhealthy);
  sick.lbMetadata = metadata({{"version", "v2"}});
  given.localities[1].endpoints.push_back(sick);
  given.localities[1].endpoints.push_back(sick);
  given.localities[1].endpoints.back().address = host(10);
  Cluster c = cluster("c", LbPolicy::kMaglev);
  c.lb.subset = panicAny();
  c.lb.healthyPanicThresholdPercent = 0;
  const auto service = serviceOf({{c, given, 1, metadata({{"version", "v9"}})}});
  const ServiceShares shares = shareOf(*service);
  EXPECT_NEAR(shares.refused, 0, 1e-9);
  // Of the default subset priority 1 takes hashes below 46 (140 / 3), priority 0 has no table. Of
  // any endpoint priority 0 takes hashes below 70 (140 / 2), and priority 1 the rest.
  EXPECT_NEAR(shareOfHost(shares, 2), 0.24, 1e-9);
  EXPECT_NEAR(shareOfHost(shares, 3), 0.46 + 0.15, 0.001);
  EXPECT_NEAR(shareOfHost(shares, 4), 0.15, 0.001);
}

TEST(Subset, FallsBackToFewerKeys) {
  SubsetConfig config = byVersion();
  config.selectors.push_back({{"stage", "version"}, Fallback::kKeysSubset, {"version"}});
  const auto both = metadata({{"stage", "prod"}, {"version", "v1"}});
  EXPECT_EQ(hostsFor(config, both), (std::vector{host(1)}));
  EXPECT_EQ(hostsFor(config, metadata({{"stage", "test"}, {"version", "v1"}})),
            (std::vector{host(1), host(2)}));
}

TEST(Subset, RedundantKeysOnlyWhereAllowed) {
  SubsetConfig config = byVersion();
  const auto more = metadata({{"color", "red"}, {"version", "v2"}});
  EXPECT_EQ(hostsFor(config, more), kNone);
  config.allowRedundantKeys = true;
  EXPECT_EQ(hostsFor(config, more), (std::vector{host(3)}));
  config.selectors.push_back({{"stage", "version"}, Fallback::kNotDefined, {}});
  EXPECT_EQ(hostsFor(config, metadata({{"stage", "dev"}, {"version", "v1"}, {"x", "y"}})),
            (std::vector{host(2)}))
      << "the selector with more keys goes first";
}

TEST(Subset, ListsMatchAnyElementOnlyWhereAllowed) {
  LoadAssignment given = versions();
  given.localities[0].endpoints[3].lbMetadata.edit()["version"].value =
      MetadataValue::List{text("v1"), text("v7")};
  SubsetConfig config = byVersion();
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v7"}}), given), kNone);
  config.listAsAny = true;
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v7"}}), given), (std::vector{host(4)}));
  EXPECT_EQ(hostsFor(config, metadata({{"version", "v1"}}), given),
            (std::vector{host(1), host(2), host(4)}));
}

TEST(Subset, HealthAndPanicAreTheSubsetsOwn) {
  LoadAssignment given = versions();
  given.localities[0].endpoints[2].health = EdsHealth::kUnhealthy;
  const auto service = chosen(byVersion(), metadata({{"version", "v2"}}), given);
  EXPECT_EQ(service->groups[0]->hosts, (std::vector{host(3)}));
  EXPECT_NE(service->groups[0]->flags & SM_GROUP_PANIC, 0U);
}

TEST(Subset, LocalityWeightsOnlyWhereTheSubsetIsAwareOfThem) {
  LoadAssignment given = assignment({locality("x", 90, 1, 4, 4), locality("y", 10, 5, 2, 2)});
  for (auto& group : given.localities) {
    for (auto& one : group.endpoints) one.lbMetadata = metadata({{"version", "v1"}});
  }
  // The subset keeps one host of x's four.
  for (std::size_t i = 1; i < 4; ++i) given.localities[0].endpoints[i].lbMetadata.edit().clear();
  Cluster c = cluster("c");
  c.lb.localityMode = LocalityMode::kLocalityWeighted;
  c.lb.subset = byVersion();
  const auto share = [&] {
    return shareOfHost(shareOf(*serviceOf({{c, given, 1, metadata({{"version", "v1"}})}})), 1);
  };
  EXPECT_NEAR(share(), 1.0 / 3, 1e-9);
  c.lb.subset->localityWeightAware = true;
  EXPECT_NEAR(share(), 0.9, 1e-9);
  c.lb.subset->scaleLocalityWeight = true;
  EXPECT_NEAR(share(), 23.0 / 33, 1e-9) << "round(90 / 4) against 10";
}

TEST(Subset, LegsOfOneClusterWithDifferentSubsets) {
  Cluster c = cluster("c");
  c.lb.subset = byVersion();
  const auto service = serviceOf({{c, versions(), 90, metadata({{"version", "v1"}})},
                                  {c, versions(), 10, metadata({{"version", "v2"}})}});
  const auto shares = shareOf(*service);
  EXPECT_NEAR(shareOfHost(shares, 1), 0.45, 1e-9);
  EXPECT_NEAR(shareOfHost(shares, 3), 0.10, 1e-9);
}

}  // namespace
}  // namespace sockmesh
