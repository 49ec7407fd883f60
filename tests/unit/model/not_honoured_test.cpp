// SPDX-License-Identifier: Apache-2.0
#include "model/not_honoured.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::shared_ptr<Cluster> hashing(const std::string& name, LbPolicy policy) {
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->lb.policy = policy;
  cluster->lb.hashNeedsLayerSeven = {{"header x-user"}, {"cookie id"}};
  return cluster;
}

std::shared_ptr<Listener> listener(const std::string& name,
                                   const std::vector<std::string>& clusters) {
  auto made = std::make_shared<Listener>();
  made->name = name;
  for (const std::string& cluster : clusters) made->route.clusters.push_back({cluster, 1, {}});
  return made;
}

TEST(NotHonoured, ClustersThenListenersAndOnlyThoseConcerned) {
  Snapshot snapshot;
  auto cluster = std::make_shared<Cluster>();
  cluster->notHonoured = {"health_checks: no", "upstream_bind_config: no"};
  snapshot.clusters["b"] = cluster;
  snapshot.clusters["a"] = std::make_shared<Cluster>();
  auto idle = listener("l", {"a"});
  idle->notHonoured = {"idle_timeout: no"};
  snapshot.listeners["l"] = idle;
  const auto found = notHonoured(snapshot);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_STREQ(kindName(found[0].kind), "Cluster");
  EXPECT_EQ(found[0].name, "b");
  EXPECT_THAT(found[0].fields, ElementsAre("health_checks: no", "upstream_bind_config: no"));
  EXPECT_STREQ(kindName(found[1].kind), "Listener");
  EXPECT_EQ(found[1].name, "l");
}

TEST(LayerSevenNeeds, NameTheServiceTheClusterAndThePolicies) {
  Snapshot snapshot;
  snapshot.clusters["a"] = hashing("a", LbPolicy::kMaglev);
  snapshot.clusters["plain"] = std::make_shared<Cluster>();
  snapshot.listeners["l"] = listener("l", {"plain", "a", "a", "unknown"});
  const auto needs = layerSevenNeeds(snapshot);
  ASSERT_EQ(needs.size(), 1U) << "a split over subsets of one cluster names it once";
  EXPECT_EQ(needs[0].service, "l");
  EXPECT_EQ(needs[0].cluster, "a");
  EXPECT_THAT(needs[0].hashPolicies, ElementsAre("header x-user", "cookie id"));
}

TEST(LayerSevenNeeds, NameWhatTheRoutesOfAServiceNeed) {
  Snapshot snapshot;
  auto web = listener("web", {"plain"});
  web->needsLayer7 = {"timeout: requests are not timed"};
  snapshot.listeners["web"] = web;
  const auto needs = layerSevenNeeds(snapshot);
  ASSERT_EQ(needs.size(), 1U);
  EXPECT_EQ(needs[0].service, "web");
  EXPECT_EQ(needs[0].cluster, "");
  EXPECT_THAT(needs[0].reasons, ElementsAre("timeout: requests are not timed"));
}

TEST(LayerSevenNeeds, WhereNothingIsHashedThereIsNoNeed) {
  Snapshot snapshot;
  snapshot.clusters["random"] = hashing("random", LbPolicy::kRandom);
  auto tls = hashing("tls", LbPolicy::kRingHash);
  tls->leaveAlone = LeftAloneReason::kTls;
  snapshot.clusters["tls"] = tls;
  snapshot.clusters["unreached"] = hashing("unreached", LbPolicy::kRingHash);
  snapshot.listeners["l"] = listener("l", {"random", "tls"});
  EXPECT_THAT(layerSevenNeeds(snapshot), IsEmpty());
}

}  // namespace
}  // namespace sockmesh
