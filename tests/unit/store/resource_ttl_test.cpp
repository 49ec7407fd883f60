// SPDX-License-Identifier: Apache-2.0
// Resource.ttl: what the control plane does not renew goes.
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

template <typename Proto>
Resource mortal(const std::string& name, const Proto& proto, int ttlSeconds) {
  Resource resource = wrap(name, proto);
  resource.mutable_ttl()->set_seconds(ttlSeconds);
  return resource;
}

Resource heartbeat(const std::string& name, int ttlSeconds) {
  Resource resource;
  resource.set_name(name);
  resource.mutable_ttl()->set_seconds(ttlSeconds);
  return resource;
}

class ResourceTtl : public ::testing::Test {
 protected:
  void accept(const DiscoveryResponse& given, int atSeconds) {
    const ApplyResult result = store_.apply(updateOf(given), seconds(atSeconds));
    ASSERT_TRUE(result.ok()) << result.message();
  }
  std::vector<std::string> expire(int atSeconds) {
    std::vector<std::string> names;
    for (const ResourceKey& key : store_.expire(seconds(atSeconds))) names.push_back(key.name);
    return names;
  }

  ResourceStore store_;
};

TEST_F(ResourceTtl, AClusterThatIsNotRenewedGoesThoughAListenerPointsAtIt) {
  accept(cds(mortal("c", edsCluster("c"), 5), edsCluster("forever")), 100);
  accept(eds(assignment("c"), assignment("forever")), 100);
  accept(lds(listenerTo({"c"}, "l", "10.0.0.1")), 100);
  EXPECT_EQ(store_.nextExpiry(), seconds(105));
  EXPECT_THAT(expire(104), IsEmpty());
  EXPECT_THAT(expire(105), ElementsAre("c"));
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("forever"));
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("forever"));
  EXPECT_TRUE(store_.snapshot()->clustersListed) << "refused, not unknown";
  EXPECT_EQ(store_.nextExpiry(), std::nullopt);
}

TEST_F(ResourceTtl, AListenerThatIsNotRenewedGoes) {
  accept(lds(mortal("l", listener("l"), 5), mortal("m", listener("m", "10.0.0.2"), 3)), 100);
  EXPECT_THAT(expire(103), ElementsAre("m"));
  EXPECT_THAT(namesOf(store_.snapshot()->listeners), ElementsAre("l"));
  EXPECT_THAT(expire(110), ElementsAre("l"));
  EXPECT_THAT(store_.snapshot()->listeners, IsEmpty());
}

TEST_F(ResourceTtl, AHeartbeatRenewsAndRemovesNothing) {
  accept(cds(mortal("c", edsCluster("c"), 5), edsCluster("forever")), 100);
  const auto before = store_.snapshot();
  const ApplyResult result = store_.apply(updateOf(cds(heartbeat("c", 5))), seconds(104));
  EXPECT_TRUE(result.ok());
  EXPECT_FALSE(result.changed);
  EXPECT_EQ(store_.snapshot(), before);
  EXPECT_EQ(store_.nextExpiry(), seconds(109));
}

TEST_F(ResourceTtl, AHeartbeatInAListOfANewVersionIsAResourceThatIsThere) {
  accept(cds(mortal("c", edsCluster("c"), 5), edsCluster("gone")), 100);
  accept(response(kClusterType, "2", heartbeat("c", 5)), 104);
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("c"));
}

TEST_F(ResourceTtl, TheSameResourceRenewsAndOneWithoutTtlStaysForEver) {
  accept(cds(mortal("c", edsCluster("c"), 5)), 100);
  accept(cds(mortal("c", edsCluster("c"), 7)), 103);
  EXPECT_EQ(store_.nextExpiry(), seconds(110));
  accept(cds(edsCluster("c")), 104);
  EXPECT_EQ(store_.nextExpiry(), std::nullopt);
}

TEST_F(ResourceTtl, ARemovedResourceExpiresNoMore) {
  accept(cds(mortal("c", edsCluster("c"), 5)), 100);
  accept(cds(), 101);
  EXPECT_EQ(store_.nextExpiry(), std::nullopt);
}

TEST_F(ResourceTtl, AVersionThatWaitsExpiresWithTheOneInForce) {
  accept(cds(mortal("c", edsCluster("c", 5, "a"), 5)), 100);
  accept(eds(assignment("a")), 100);
  accept(cds(mortal("c", edsCluster("c", 5, "b"), 5)), 101);
  EXPECT_THAT(store_.wanted(edsType()), ElementsAre("a", "b"));
  EXPECT_THAT(expire(106), ElementsAre("c"));
  EXPECT_THAT(store_.snapshot()->clusters, IsEmpty());
  EXPECT_THAT(store_.wanted(edsType()), IsEmpty());
}

TEST_F(ResourceTtl, WhatHasExpiredComesBackWithItsContentAlone) {
  accept(cds(mortal("c", edsCluster("c"), 5)), 100);
  EXPECT_THAT(expire(105), ElementsAre("c"));
  const ApplyResult refused = store_.apply(updateOf(cds(heartbeat("c", 5))), seconds(106));
  EXPECT_THAT(refused.message(), HasSubstr("c: has no content, and none is known of it"));
  EXPECT_EQ(store_.nextExpiry(), std::nullopt);
  accept(cds(mortal("c", edsCluster("c"), 5)), 107);
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("c"));
}

TEST_F(ResourceTtl, ABadTtlIsRefusedWithItsPathAndTheLastVersionStays) {
  accept(cds(edsCluster("c", 1), edsCluster("d")), 100);
  const ApplyResult result = store_.apply(
      updateOf(cds(edsCluster("d"), mortal("c", edsCluster("c", 2), -1))), seconds(101));
  EXPECT_EQ(result.message(), "c: resources[1].ttl: must not be negative");
  EXPECT_EQ(store_.snapshot()->clusters.at("c")->connectTimeout, seconds(1));
}

// As in Envoy, whose clusters keep their endpoints.
TEST_F(ResourceTtl, ARejectedVersionsTtlIsNotThatOfTheVersionThatStays) {
  accept(cds(edsCluster("forever"), mortal("c", edsCluster("c"), 5)), 100);
  const ApplyResult result = store_.apply(
      updateOf(cds(mortal("forever", badCluster("forever"), 2), mortal("c", badCluster("c"), 60))),
      seconds(101));
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(expire(104), IsEmpty());
  EXPECT_THAT(expire(105), ElementsAre("c"));
  EXPECT_THAT(namesOf(store_.snapshot()->clusters), ElementsAre("forever"));
}

TEST_F(ResourceTtl, EndpointsDoNotExpire) {
  accept(cds(edsCluster("c")), 100);
  accept(eds(mortal("c", assignment("c"), 5)), 100);
  EXPECT_EQ(store_.nextExpiry(), std::nullopt);
}

}  // namespace
}  // namespace sockmesh
