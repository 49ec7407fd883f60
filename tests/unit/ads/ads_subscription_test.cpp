// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "ads/sotw_subscription.h"
#include "decode/type_urls.h"

namespace sockmesh {
namespace {

std::vector<std::string> namesOf(const envoy::service::discovery::v3::DiscoveryRequest& request) {
  return {request.resource_names().begin(), request.resource_names().end()};
}

// The slices of the request, which share memory with the subscription.
std::vector<grpc::Slice> slicesOf(const grpc::ByteBuffer& request) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(request.Dump(&slices).ok());
  return slices;
}

envoy::service::discovery::v3::DiscoveryRequest parsed(const std::vector<grpc::Slice>& slices) {
  std::string bytes;
  for (const grpc::Slice& slice : slices) bytes.append(slice.begin(), slice.end());
  envoy::service::discovery::v3::DiscoveryRequest request;
  EXPECT_TRUE(request.ParseFromString(bytes));
  return request;
}

TEST(SotwSubscription, AnAnswerSharesTheBytesOfItsNames) {
  SotwSubscription assignments(*findResourceType(kAssignmentType));
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("outbound|80||service-" + std::to_string(i));
  assignments.setNames(names);
  assignments.onStreamUp();
  envoy::config::core::v3::Node node;
  node.set_id("n");
  const auto first = slicesOf(assignments.nextRequest(&node));
  assignments.accept("v1", "n1");
  const auto ack = slicesOf(assignments.nextRequest(nullptr));
  EXPECT_EQ(namesOf(parsed(first)), names);
  EXPECT_EQ(parsed(first).node().id(), "n");
  EXPECT_EQ(namesOf(parsed(ack)), names);
  EXPECT_EQ(parsed(ack).response_nonce(), "n1");
  EXPECT_EQ(parsed(ack).version_info(), "v1");
  EXPECT_EQ(parsed(ack).type_url(), kAssignmentType);
  EXPECT_FALSE(parsed(ack).has_node());
  ASSERT_EQ(first.size(), 2u);
  ASSERT_EQ(ack.size(), 2u);
  EXPECT_EQ(first[1].begin(), ack[1].begin()) << "the names were copied";
  names.pop_back();
  assignments.setNames(names);
  ASSERT_TRUE(assignments.requestDue());
  EXPECT_EQ(namesOf(parsed(slicesOf(assignments.nextRequest(nullptr)))), names);
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
