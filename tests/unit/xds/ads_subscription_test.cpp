// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "xds/sotw_subscription.h"
#include "xds/type_urls.h"

namespace sockmesh {
namespace {

std::vector<std::string> namesOf(const envoy::service::discovery::v3::DiscoveryRequest& request) {
  return {request.resource_names().begin(), request.resource_names().end()};
}

TEST(SotwSubscription, AWildcardAsksWithoutNamesOnEveryStream) {
  SotwSubscription clusters(*findResourceType(kClusterType));
  clusters.onStreamUp();
  ASSERT_TRUE(clusters.requestDue());
  const auto request = clusters.takeRequest();
  EXPECT_EQ(request.type_url(), kClusterType);
  EXPECT_TRUE(namesOf(request).empty());
  EXPECT_EQ(request.version_info(), "");
  EXPECT_EQ(request.response_nonce(), "");
  EXPECT_FALSE(clusters.requestDue());
}

TEST(SotwSubscription, TheVersionOutlivesTheStreamAndTheNonceDoesNot) {
  SotwSubscription clusters(*findResourceType(kClusterType));
  clusters.onStreamUp();
  (void)clusters.takeRequest();
  clusters.accept("v1", "n1");
  const auto ack = clusters.takeRequest();
  EXPECT_EQ(ack.version_info(), "v1");
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_error_detail());
  clusters.onStreamUp();
  EXPECT_FALSE(clusters.requestedOnStream());
  const auto again = clusters.takeRequest();
  EXPECT_EQ(again.version_info(), "v1");
  EXPECT_EQ(again.response_nonce(), "");
}

TEST(SotwSubscription, ANackKeepsTheVersionAndIsSaidOnce) {
  SotwSubscription clusters(*findResourceType(kClusterType));
  clusters.onStreamUp();
  (void)clusters.takeRequest();
  clusters.accept("v1", "n1");
  (void)clusters.takeRequest();
  clusters.reject("n2", "a: wrong");
  const auto nack = clusters.takeRequest();
  EXPECT_EQ(nack.version_info(), "v1");
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_EQ(nack.error_detail().code(), 13);
  EXPECT_EQ(nack.error_detail().message(), "a: wrong");
  clusters.accept("v3", "n3");
  EXPECT_FALSE(clusters.takeRequest().has_error_detail());
}

TEST(SotwSubscription, ANackOfALostStreamIsNotSaidOnTheNext) {
  SotwSubscription clusters(*findResourceType(kClusterType));
  clusters.onStreamUp();
  (void)clusters.takeRequest();
  clusters.reject("n1", "a: wrong");
  clusters.onStreamUp();
  EXPECT_FALSE(clusters.takeRequest().has_error_detail());
}

TEST(SotwSubscription, NoNamesMeanSilenceUntilThereIsOneAndUnsubscribeLater) {
  SotwSubscription assignments(*findResourceType(kAssignmentType));
  assignments.onStreamUp();
  EXPECT_FALSE(assignments.requestDue());
  assignments.setNames({});
  EXPECT_FALSE(assignments.requestDue());
  assignments.setNames({"a", "b"});
  ASSERT_TRUE(assignments.requestDue());
  EXPECT_EQ(namesOf(assignments.takeRequest()), (std::vector<std::string>{"a", "b"}));
  assignments.setNames({"a", "b"});
  EXPECT_FALSE(assignments.requestDue());
  assignments.setNames({});
  ASSERT_TRUE(assignments.requestDue());
  EXPECT_TRUE(namesOf(assignments.takeRequest()).empty());
  assignments.onStreamUp();
  EXPECT_FALSE(assignments.requestDue()) << "an empty first request may be read as a wildcard";
}

// A server that does not read lets a first request wait, and an empty one would ask for everything.
TEST(SotwSubscription, NamesThatGoBeforeTheyWereAskedForAreNotAskedForAsAWildcard) {
  SotwSubscription endpoints(*findResourceType(kAssignmentType));
  endpoints.onStreamUp();
  endpoints.setNames({"a"});
  EXPECT_TRUE(endpoints.requestDue());
  endpoints.setNames({});
  EXPECT_FALSE(endpoints.requestDue());
  endpoints.setNames({"b"});
  EXPECT_TRUE(endpoints.requestDue());
}

TEST(SotwSubscription, ChangedNamesGoWithTheLatestNonceAndAllNames) {
  SotwSubscription assignments(*findResourceType(kAssignmentType));
  assignments.setNames({"a"});
  assignments.onStreamUp();
  (void)assignments.takeRequest();
  assignments.accept("v1", "n1");
  (void)assignments.takeRequest();
  assignments.reject("n2", "a: wrong");
  (void)assignments.takeRequest();
  assignments.setNames({"a", "b"});
  const auto request = assignments.takeRequest();
  EXPECT_EQ(namesOf(request), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.version_info(), "v1");
  EXPECT_EQ(request.response_nonce(), "n2");
  EXPECT_FALSE(request.has_error_detail());
}

}  // namespace
}  // namespace sockmesh
