// SPDX-License-Identifier: Apache-2.0
#include "sotw_session.h"

#include <gtest/gtest.h>

#include <deque>

#include "decode/type_urls.h"
#include "resources.h"

namespace sockmesh {
namespace {

using testing::assignment;
using testing::cluster;
using testing::listener;
using testing::namesOf;
using testing::resources;
using Names = std::vector<std::string>;
using Request = SotwSession::Request;
using Response = SotwSession::Response;

class AdsSessionTest : public ::testing::Test {
 protected:
  void serve(std::shared_ptr<const ResourceSet> set) {
    SotwSession::Hooks hooks;
    hooks.send = [this](Response response) { sent_.push_back(std::move(response)); };
    hooks.log = [this](const std::string& line, bool) { log_.push_back(line); };
    session_ =
        std::make_unique<SotwSession>(*loop_, std::move(set), std::move(hooks), kStepTimeout);
  }

  void ask(std::string_view type, const Names& names = {}, const std::string& nonce = "") {
    Request request;
    request.set_type_url(std::string(type));
    request.set_response_nonce(nonce);
    for (const std::string& name : names) request.add_resource_names(name);
    session_->onRequest(request);
  }

  // The next response. If nothing was sent, the test fails and the response is empty.
  Response next() {
    if (sent_.empty()) {
      ADD_FAILURE() << "nothing was sent";
      return {};
    }
    Response response = std::move(sent_.front());
    sent_.pop_front();
    return response;
  }

  // Expects the next response to be of `type` with `names`, and acknowledges it with the
  // subscription to `subscribed`.
  void takeAndAck(std::string_view type, const Names& names, const Names& subscribed = {}) {
    const Response response = next();
    EXPECT_EQ(response.type_url(), type);
    EXPECT_EQ(namesOf(response), names);
    ask(type, subscribed, response.nonce());
  }

  // As a client that holds everything of clusters, endpoints and listeners.
  void subscribeAll(const Names& assignments) {
    for (const auto type : {kClusterType, kAssignmentType, kListenerType}) {
      const Names names = type == kAssignmentType ? assignments : Names();
      ask(type, names);
      ask(type, names, next().nonce());
    }
  }

  static constexpr Nanos kStepTimeout = std::chrono::milliseconds(20);
  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  std::unique_ptr<SotwSession> session_;
  std::deque<Response> sent_;
  Names log_;
};

TEST_F(AdsSessionTest, AWildcardGetsEverythingAndAnAckNothing) {
  serve(resources({cluster("b"), cluster("a")}));
  ask(kClusterType);
  takeAndAck(kClusterType, {"a", "b"});
  EXPECT_TRUE(sent_.empty());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_TRUE(log_[0].starts_with("ACK CDS ")) << log_[0];
}

TEST_F(AdsSessionTest, ANackIsLoggedWithItsMessageAndNotAnswered) {
  serve(resources({cluster("a")}));
  ask(kClusterType);
  Request nack;
  nack.set_type_url(std::string(kClusterType));
  nack.set_response_nonce(next().nonce());
  nack.mutable_error_detail()->set_message("a: lb_policy: 9 is not one");
  session_->onRequest(nack);
  EXPECT_TRUE(sent_.empty());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("NACK CDS"), std::string::npos);
  EXPECT_NE(log_[0].find("a: lb_policy: 9 is not one"), std::string::npos);
}

TEST_F(AdsSessionTest, NoClustersAreAnAnswerToo) {
  serve(resources({}));
  ask(kClusterType);
  takeAndAck(kClusterType, {});
}

TEST_F(AdsSessionTest, OnlyNewNamesOfEndpointsAreAnswered) {
  serve(resources({assignment("a", 1), assignment("b", 2)}));
  ask(kAssignmentType, {"a", "missing"});
  const Response first = next();
  EXPECT_EQ(namesOf(first), Names{"a"});
  ask(kAssignmentType, {"a", "b"}, first.nonce());
  takeAndAck(kAssignmentType, {"b"}, {"a", "b"});
  EXPECT_TRUE(sent_.empty());
}

TEST_F(AdsSessionTest, ANameThatWasGivenUpIsSentAgainWhenItComesBack) {
  serve(resources({assignment("a", 1), assignment("b", 2)}));
  ask(kAssignmentType, {"a", "b"});
  const std::string nonce = next().nonce();
  ask(kAssignmentType, {"b"}, nonce);
  EXPECT_TRUE(sent_.empty());
  ask(kAssignmentType, {"a", "b"}, nonce);
  takeAndAck(kAssignmentType, {"a"}, {"a", "b"});
}

TEST_F(AdsSessionTest, AStaleNonceChangesNothing) {
  serve(resources({assignment("a", 1), assignment("b", 2)}));
  ask(kAssignmentType, {"a"});
  const std::string old = next().nonce();
  session_->onResources(resources({assignment("a", 3), assignment("b", 2)}));
  const Response latest = next();
  ask(kAssignmentType, {"a", "b"}, old);
  EXPECT_TRUE(sent_.empty());
  ask(kAssignmentType, {"a", "b"}, latest.nonce());
  takeAndAck(kAssignmentType, {"b"}, {"a", "b"});
}

TEST_F(AdsSessionTest, NamesAndTheStarOfClusters) {
  serve(resources({cluster("a"), cluster("b")}));
  ask(kClusterType, {"b"});
  const Response named = next();
  EXPECT_EQ(namesOf(named), Names{"b"});
  ask(kClusterType, {"*"}, named.nonce());
  takeAndAck(kClusterType, {"a", "b"}, {"*"});
}

TEST_F(AdsSessionTest, AChangedClusterGetsItsEndpointsAgain) {
  serve(resources({cluster("a"), cluster("b"), assignment("a", 1), assignment("b", 2)}));
  subscribeAll({"a", "b"});
  session_->onResources(
      resources({cluster("a"), cluster("b", 9), assignment("a", 1), assignment("b", 2)}));
  takeAndAck(kClusterType, {"a", "b"});
  takeAndAck(kAssignmentType, {"b"}, {"a", "b"});
  EXPECT_TRUE(sent_.empty());
}

TEST_F(AdsSessionTest, OnlyWhatChangedIsSent) {
  serve(resources(
      {cluster("a"), cluster("b"), assignment("a", 1), assignment("b", 2), listener("l")}));
  subscribeAll({"a", "b"});
  session_->onResources(resources(
      {cluster("a"), cluster("b"), assignment("a", 1), assignment("b", 3), listener("l")}));
  takeAndAck(kAssignmentType, {"b"}, {"a", "b"});
  EXPECT_TRUE(sent_.empty());
}

TEST_F(AdsSessionTest, AChangeIsMadeBeforeItBreaks) {
  serve(resources({cluster("old"), assignment("old", 1), listener("l")}));
  subscribeAll({"old"});
  session_->onResources(resources({cluster("new"), assignment("new", 2), listener("m")}));

  takeAndAck(kClusterType, {"new", "old"});
  EXPECT_TRUE(sent_.empty()) << "listeners wait until the client has the new endpoints";
  ask(kAssignmentType, {"new", "old"});
  EXPECT_EQ(sent_.size(), 1u);
  takeAndAck(kAssignmentType, {"new"}, {"new", "old"});
  takeAndAck(kListenerType, {"m"});
  takeAndAck(kClusterType, {"new"});
  EXPECT_TRUE(sent_.empty());
}

TEST_F(AdsSessionTest, AClientThatDoesNotAnswerIsNotWaitedForForEver) {
  serve(resources({cluster("a"), listener("l")}));
  for (const auto type : {kClusterType, kListenerType}) {
    ask(type);
    ask(type, {}, next().nonce());
  }
  session_->onResources(resources({cluster("b"), listener("m")}));
  EXPECT_EQ(namesOf(next()), (Names{"a", "b"}));
  EXPECT_TRUE(sent_.empty());
  loop_->after(kStepTimeout + std::chrono::milliseconds(5), [&] { loop_->stop(); });
  loop_->run();
  EXPECT_EQ(next().type_url(), kListenerType);
}

TEST(Versions, SayWhatTheResourcesAre) {
  const auto one = resources({assignment("a", 1), assignment("b", 2)});
  const auto same = resources({assignment("b", 2), assignment("a", 1)});
  const auto other = resources({assignment("a", 1), assignment("b", 3)});
  const std::string type(kAssignmentType);
  EXPECT_EQ(versionOf(one->ofType(type)), versionOf(same->ofType(type)));
  EXPECT_NE(versionOf(one->ofType(type)), versionOf(other->ofType(type)));
}

TEST(ResourceSet, TwoOfANameAreAnErrorThatNamesBothFiles) {
  ResourceSet set;
  ASSERT_TRUE(set.add(std::string(kClusterType), "a", cluster("a"), "one.yaml"));
  const Status again = set.add(std::string(kClusterType), "a", cluster("a"), "two.yaml");
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message().find("one.yaml"), std::string::npos);
  EXPECT_NE(again.error().message().find("two.yaml"), std::string::npos);
}

}  // namespace
}  // namespace sockmesh
