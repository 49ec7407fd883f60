// SPDX-License-Identifier: Apache-2.0
// What the delta protocol's subscription says, and when it says nothing.
#include "ads/delta_subscription.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/type_urls.h"

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Request = DeltaSubscription::Request;
using Names = std::vector<std::string>;

Names added(const Request& request) {
  return {request.resource_names_subscribe().begin(), request.resource_names_subscribe().end()};
}
Names dropped(const Request& request) {
  return {request.resource_names_unsubscribe().begin(), request.resource_names_unsubscribe().end()};
}

Update received(const std::string& nonce) {
  Update update;
  update.nonce = nonce;
  return update;
}

ApplyResult rejected(const std::string& name) {
  ApplyResult result;
  result.rejected.push_back({name, "wrong"});
  return result;
}

class DeltaSubscriptionTest : public ::testing::Test {
 protected:
  ResourceVersions held_;
  DeltaSubscription clusters_{*findResourceType(kClusterType), [this] { return held_; }};
  DeltaSubscription endpoints_{*findResourceType(kAssignmentType), [this] { return held_; }};
};

TEST_F(DeltaSubscriptionTest, AWildcardNamesNothingAndSaysWhatIsHeld) {
  clusters_.onStreamUp();
  ASSERT_TRUE(clusters_.requestDue());
  EXPECT_FALSE(clusters_.requestedOnStream());
  const Request first = clusters_.takeRequest();
  EXPECT_EQ(first.type_url(), kClusterType);
  EXPECT_THAT(added(first), IsEmpty());
  EXPECT_THAT(first.initial_resource_versions(), IsEmpty());
  EXPECT_TRUE(clusters_.requestedOnStream());
  EXPECT_FALSE(clusters_.requestDue());

  held_ = {{"a", "7"}, {"b", ""}};
  clusters_.onStreamUp();
  EXPECT_THAT(clusters_.takeRequest().initial_resource_versions(),
              UnorderedElementsAre(Pair("a", "7"), Pair("b", "")));
}

// istiod would remove it in the response that brings it.
TEST_F(DeltaSubscriptionTest, TheServerIsNotToldANameThatIsMadeUp) {
  held_ = {{"name table", "3"}};
  DeltaSubscription names(*findResourceType(kNameTableType), [this] { return held_; });
  names.onStreamUp();
  EXPECT_THAT(names.takeRequest().initial_resource_versions(), IsEmpty());
}

TEST_F(DeltaSubscriptionTest, ByNameItIsSilentUntilThereIsAName) {
  endpoints_.onStreamUp();
  EXPECT_FALSE(endpoints_.requestDue());
  endpoints_.setNames({"a", "b"});
  ASSERT_TRUE(endpoints_.requestDue());
  EXPECT_THAT(added(endpoints_.takeRequest()), ElementsAre("a", "b"));
}

TEST_F(DeltaSubscriptionTest, EachResponseHasItsAnswerWhichChangesNoSubscription) {
  endpoints_.setNames({"a"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.answer(received("n1"), {});
  endpoints_.answer(received("n2"), rejected("a"));
  endpoints_.setNames({"b"});
  const Request ack = endpoints_.takeRequest();
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_error_detail());
  EXPECT_THAT(added(ack), IsEmpty());
  const Request nack = endpoints_.takeRequest();
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_EQ(nack.error_detail().code(), 13);
  EXPECT_EQ(nack.error_detail().message(), "a: wrong");
  const Request names = endpoints_.takeRequest();
  EXPECT_EQ(names.response_nonce(), "");
  EXPECT_THAT(added(names), ElementsAre("b"));
  EXPECT_THAT(dropped(names), ElementsAre("a"));
  EXPECT_FALSE(endpoints_.requestDue());
}

TEST_F(DeltaSubscriptionTest, ChangesThatWereNotSentYetAreOneRequest) {
  endpoints_.setNames({"a", "b"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.setNames({"b", "c"});
  endpoints_.setNames({"b", "d"});
  const Request change = endpoints_.takeRequest();
  EXPECT_THAT(added(change), ElementsAre("d"));
  EXPECT_THAT(dropped(change), ElementsAre("a", "c"))
      << "c was never asked for, which harms nobody";
  EXPECT_FALSE(endpoints_.requestDue());
}

TEST_F(DeltaSubscriptionTest, ANameThatIsWantedAgainIsAskedForAgain) {
  endpoints_.setNames({"a", "b"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.setNames({"b"});
  endpoints_.setNames({"a", "b"});
  const Request again = endpoints_.takeRequest();
  EXPECT_THAT(added(again), ElementsAre("a")) << "what the server sent was forgotten meanwhile";
  EXPECT_THAT(dropped(again), IsEmpty());
}

TEST_F(DeltaSubscriptionTest, TheLastNameIsUnsubscribed) {
  endpoints_.setNames({"a"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.setNames({});
  const Request none = endpoints_.takeRequest();
  EXPECT_THAT(added(none), IsEmpty());
  EXPECT_THAT(dropped(none), ElementsAre("a"));
}

TEST_F(DeltaSubscriptionTest, ANewStreamStartsOver) {
  endpoints_.setNames({"a", "b"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.answer(received("old"), {});
  endpoints_.setNames({"b", "c"});
  held_ = {{"b", "2"}, {"x", "1"}};
  endpoints_.onStreamUp();
  const Request first = endpoints_.takeRequest();
  EXPECT_EQ(first.response_nonce(), "");
  EXPECT_THAT(added(first), ElementsAre("b", "c"));
  EXPECT_THAT(dropped(first), IsEmpty());
  EXPECT_THAT(first.initial_resource_versions(), ElementsAre(Pair("b", "2")));
  EXPECT_FALSE(endpoints_.requestDue());
}

TEST_F(DeltaSubscriptionTest, WhatIsForgottenIsAskedForAgain) {
  endpoints_.setNames({"a", "b"});
  endpoints_.onStreamUp();
  (void)endpoints_.takeRequest();
  endpoints_.forget("b");
  endpoints_.forget("never wanted");
  EXPECT_THAT(added(endpoints_.takeRequest()), ElementsAre("b"));
}

TEST_F(DeltaSubscriptionTest, ARequestStaysBelowWhatAServerTakes) {
  Names names;
  for (int i = 10'000; i < 40'000; ++i) {
    names.push_back(std::string(90, 'x') + std::to_string(i));
    held_[names.back()] = "1";
  }
  endpoints_.setNames(names);
  endpoints_.onStreamUp();
  Names told;
  int requests = 0;
  while (endpoints_.requestDue()) {
    const Request request = endpoints_.takeRequest();
    EXPECT_LT(request.ByteSizeLong(), 4U << 20U);
    const Names some = added(request);
    told.insert(told.end(), some.begin(), some.end());
    ++requests;
  }
  EXPECT_EQ(told, names);
  EXPECT_EQ(requests, 3);
}

TEST_F(DeltaSubscriptionTest, AServerThatDoesNotReadFillsNoMemory) {
  clusters_.onStreamUp();
  (void)clusters_.takeRequest();
  for (std::size_t i = 0; i <= DeltaSubscription::kMaxAnswers; ++i) {
    clusters_.answer(received(std::to_string(i)), {});
  }
  EXPECT_EQ(clusters_.takeRequest().response_nonce(), "1") << "the oldest is gone";
}

}  // namespace
}  // namespace sockmesh
