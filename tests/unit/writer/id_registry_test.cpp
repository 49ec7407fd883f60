// SPDX-License-Identifier: Apache-2.0
#include "writer/id_registry.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

SocketAddress at(const std::string& text) {
  return *SocketAddress::parse(text);
}

LbEndpoint endpoint(const std::string& address) {
  LbEndpoint out;
  out.address = at(address);
  return out;
}

class IdRegistryTest : public ::testing::Test {
 protected:
  IdRegistry::Cluster& cluster(const std::string& name) {
    if (auto* known = ids_.find(name)) return *known;
    IdRegistry::Cluster& added = **ids_.addCluster(name);
    added.listed = true;
    return added;
  }
  IdRegistry::Endpoint& list(const std::string& name, const LbEndpoint& wanted) {
    IdRegistry::Endpoint& added = **ids_.addEndpoint(cluster(name), wanted);
    added.listed = true;
    return added;
  }

  std::size_t missing(const LbCluster& wanted) const {
    Breather never;
    return ids_.missing(wanted, never);
  }

  IdRegistry ids_;
};

TEST_F(IdRegistryTest, WhatIsNotKnownHasNoId) {
  EXPECT_EQ(ids_.clusterId("a"), SM_NONE);
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80")), SM_NONE);
  EXPECT_FALSE(ids_.endpointOf(1));
  EXPECT_FALSE(ids_.listed("a"));
  LbCluster wanted;
  wanted.name = "a";
  wanted.endpoints = LbEndpoints({endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80")});
  EXPECT_EQ(missing(wanted), 2u);
  list("a", endpoint("10.0.0.2:80"));
  EXPECT_EQ(missing(wanted), 1u);
}

TEST_F(IdRegistryTest, EndpointsMayComeAndGoInAnyOrder) {
  const auto address = [](std::uint32_t n) {
    return "10.0." + std::to_string(n / 256) + "." + std::to_string(n % 256) + ":80";
  };
  constexpr std::uint32_t kCount = 3000;
  std::vector<std::uint32_t> ids(kCount);
  LbGroup group;
  group.cluster = "a";
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const std::uint32_t n = i * 7 % kCount;  // each once
    ids[n] = list("a", endpoint(address(n))).id;
    group.hosts.push_back(at(address(n)));
  }
  EXPECT_EQ(ids_.endpointsOf("a"), ids) << "in the order of addresses";
  const std::vector<std::uint32_t> found = ids_.endpointIds(group);
  for (std::uint32_t i = 0; i < kCount; ++i) ASSERT_EQ(found[i], ids[i * 7 % kCount]) << i;
  std::vector<std::uint32_t> left;
  for (std::uint32_t n = 0; n < kCount; ++n) {
    if (n % 3 == 0) {
      ids_.removeEndpoint(ids[n]);
      EXPECT_EQ(ids_.endpointId("a", at(address(n))), SM_NONE);
    } else {
      left.push_back(ids[n]);
    }
  }
  EXPECT_EQ(ids_.endpointsOf("a"), left);
  EXPECT_EQ(ids_.listed("a")->endpoints.size(), left.size());
}

TEST_F(IdRegistryTest, AnIdIsFreeForAnotherOnceItIsRemoved) {
  const auto first = list("a", endpoint("10.0.0.1:80")).id;
  const auto second = list("a", endpoint("10.0.0.2:80")).id;
  EXPECT_NE(first, second);
  EXPECT_EQ(ids_.endpointOf(first), std::pair(std::string("a"), at("10.0.0.1:80")));
  ids_.removeEndpoint(first);
  EXPECT_FALSE(ids_.endpointOf(first));
  EXPECT_EQ(list("b", endpoint("10.0.0.3:80")).id, first);
  EXPECT_EQ(ids_.endpointsOf("a"), std::vector{second});
}

TEST_F(IdRegistryTest, TheSameAddressInTwoClustersIsTwoEndpoints) {
  const auto a = list("a", endpoint("10.0.0.1:80")).id;
  const auto b = list("b", endpoint("10.0.0.1:80")).id;
  EXPECT_NE(a, b);
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80")), a);
  EXPECT_EQ(ids_.endpointId("b", at("10.0.0.1:80")), b);
}

TEST_F(IdRegistryTest, OfTwoWithOneFirstAddressTheListedOneIsMeant) {
  LbEndpoint two = endpoint("10.0.0.1:80");
  two.otherAddress = at("[fd00::1]:80");
  IdRegistry::Endpoint& alone = list("a", endpoint("10.0.0.1:80"));
  const auto aloneId = alone.id;
  ids_.unlist(alone);
  const auto both = list("a", two).id;
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80")), both);
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80"), std::nullopt), aloneId);
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80"), at("[fd00::1]:80")), both);
}

// A grace period that began at the first retirement says nothing about the second one.
TEST_F(IdRegistryTest, WhatCameBackAndLeftAgainIsNotFreedByItsFirstRetirement) {
  IdRegistry::Endpoint& known = list("a", endpoint("10.0.0.1:80"));
  ids_.unlist(known);
  const auto first = ids_.takeRetired();
  ASSERT_EQ(first.endpoints.size(), 1u);
  EXPECT_TRUE(ids_.isStillRetired(first.endpoints[0]));
  known.listed = true;
  EXPECT_FALSE(ids_.isStillRetired(first.endpoints[0])) << "it is back";
  ids_.unlist(known);
  const auto second = ids_.takeRetired();
  EXPECT_FALSE(ids_.isStillRetired(first.endpoints[0])) << "it left again";
  EXPECT_TRUE(ids_.isStillRetired(second.endpoints.at(0)));
}

TEST_F(IdRegistryTest, TheSameHoldsForAClustersId) {
  IdRegistry::Cluster& known = cluster("a");
  ids_.unlist(known);
  EXPECT_TRUE(ids_.clusters().empty());
  const auto first = ids_.takeRetired();
  known.listed = true;
  EXPECT_FALSE(ids_.isClusterStillRetired(first.clusters.at(0)));
  ids_.unlist(known);
  const auto second = ids_.takeRetired();
  EXPECT_FALSE(ids_.isClusterStillRetired(first.clusters[0]));
  EXPECT_TRUE(ids_.isClusterStillRetired(second.clusters.at(0)));
  ids_.removeCluster(known.id);
  EXPECT_FALSE(ids_.isClusterStillRetired(second.clusters[0]));
}

TEST_F(IdRegistryTest, RetiredIdsThatTablesStillNameAreHandedOutAgain) {
  const auto kept = list("a", endpoint("10.0.0.1:80")).id;
  const auto gone = list("a", endpoint("10.0.0.2:80")).id;
  ids_.unlist(*ids_.findEndpoint(kept));
  ids_.unlist(*ids_.findEndpoint(gone));
  auto retired = ids_.takeRetired();
  EXPECT_TRUE(ids_.takeRetired().empty()) << "each once";
  IdSet named;
  named.insert(kept);
  Breather never;
  ids_.keepRetired(retired, named, {}, never);
  ASSERT_EQ(retired.endpoints.size(), 1u);
  EXPECT_EQ(retired.endpoints[0].id, gone);
  EXPECT_EQ(ids_.takeRetired().endpoints.at(0).id, kept);
}

TEST_F(IdRegistryTest, AdoptedIdsStayAndAnEndpointWithoutAClusterIsToBeFreed) {
  KernelImage image;
  image.clusterNames[3] = "a";
  image.localityNames[2] = "r/z/s";
  image.endpoints[5] = {5, "a", endpoint("10.0.0.1:80"), false};
  image.endpoints[6] = {6, "a", endpoint("10.0.0.2:80"), true};
  image.endpoints[7] = {7, "", endpoint("10.0.0.3:80"), false};
  ids_.adopt(image);
  EXPECT_EQ(ids_.clusterId("a"), 3u);
  EXPECT_EQ(ids_.localityId(Locality{"r", "z", "s"}), 2u);
  EXPECT_EQ(ids_.endpointId("a", at("10.0.0.1:80")), 5u);
  ASSERT_TRUE(ids_.listed("a"));
  EXPECT_EQ(ids_.listed("a")->endpoints.size(), 1u) << "the withdrawn one is not listed";
  const auto retired = ids_.takeRetired();
  ASSERT_EQ(retired.endpoints.size(), 2u);
  for (const auto& entry : retired.endpoints) {
    EXPECT_NE(entry.id, 5u);
    EXPECT_TRUE(ids_.isStillRetired(entry)) << entry.id;
  }
  // Ids below the adopted ones are free, the adopted ones are not.
  std::set<std::uint32_t> given;
  for (int i = 1; i <= 5; ++i) {
    given.insert(list("b", endpoint("10.1.0." + std::to_string(i) + ":80")).id);
  }
  EXPECT_EQ(given, (std::set<std::uint32_t>{1, 2, 3, 4, 8}));
}

}  // namespace
}  // namespace sockmesh
