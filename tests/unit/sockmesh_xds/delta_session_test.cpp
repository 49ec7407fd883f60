// SPDX-License-Identifier: Apache-2.0
#include "delta_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "decode/type_urls.h"
#include "resources.h"

namespace sockmesh {
namespace {

using testing::assignment;
using testing::cluster;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::listener;
using testing::resources;
using Names = std::vector<std::string>;
using Request = DeltaSession::Request;
using Response = DeltaSession::Response;

Names namesOf(const Response& response) {
  Names names;
  for (const auto& resource : response.resources()) names.push_back(resource.name());
  return names;
}
Names removedFrom(const Response& response) {
  return {response.removed_resources().begin(), response.removed_resources().end()};
}

class DeltaSessionTest : public ::testing::Test {
 protected:
  void serve(std::shared_ptr<const ResourceSet> set) {
    DeltaSession::Hooks hooks;
    hooks.send = [this](Response response) { sent_.push_back(std::move(response)); };
    hooks.log = [this](const std::string& line, bool) { log_.push_back(line); };
    session_ = std::make_unique<DeltaSession>(*loop_, std::move(set), std::move(hooks));
  }
  void ask(std::string_view type, const Names& more = {}, const Names& less = {},
           const std::map<std::string, std::string>& held = {}) {
    Request request;
    request.set_type_url(std::string(type));
    for (const std::string& name : more) request.add_resource_names_subscribe(name);
    for (const std::string& name : less) request.add_resource_names_unsubscribe(name);
    for (const auto& [name, version] : held) {
      (*request.mutable_initial_resource_versions())[name] = version;
    }
    session_->onRequest(request);
  }
  void ack(const Response& response) {
    Request request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
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
  Response nextAcked() {
    Response response = next();
    ack(response);
    return response;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  std::unique_ptr<DeltaSession> session_;
  std::deque<Response> sent_;
  Names log_;
};

TEST_F(DeltaSessionTest, AWildcardGetsEverythingOnceAndThenWhatChanges) {
  serve(resources({cluster("b"), cluster("a")}));
  ask(kClusterType);
  const Response all = nextAcked();
  EXPECT_EQ(all.type_url(), kClusterType);
  EXPECT_THAT(namesOf(all), ElementsAre("a", "b"));
  EXPECT_THAT(removedFrom(all), IsEmpty());
  EXPECT_TRUE(sent_.empty());
  session_->onResources(resources({cluster("b"), cluster("c")}));
  EXPECT_THAT(namesOf(nextAcked()), ElementsAre("c"));
  const Response gone = nextAcked();
  EXPECT_THAT(namesOf(gone), IsEmpty());
  EXPECT_THAT(removedFrom(gone), ElementsAre("a")) << "removed last";
}

TEST_F(DeltaSessionTest, NothingIsAnAnswerToAWildcardToo) {
  serve(resources({}));
  ask(kClusterType);
  EXPECT_THAT(namesOf(next()), IsEmpty());
}

TEST_F(DeltaSessionTest, AClientThatComesBackGetsTheDifference) {
  serve(resources({cluster("same"), cluster("changed"), cluster("new")}));
  ask(kClusterType);
  std::map<std::string, std::string> held;
  const Response all = next();
  for (const auto& resource : all.resources()) held[resource.name()] = resource.version();
  held["changed"] = "older";
  held["gone"] = held["new"];
  held.erase("new");
  serve(resources({cluster("same"), cluster("changed"), cluster("new")}));
  ask(kClusterType, {}, {}, held);
  const Response response = next();
  EXPECT_THAT(namesOf(response), ElementsAre("changed", "new"));
  EXPECT_THAT(removedFrom(response), ElementsAre("gone"));
}

TEST_F(DeltaSessionTest, EndpointsAreAnsweredByNameAndAMissingNameIsSaid) {
  serve(resources({assignment("a", 1), assignment("b", 2)}));
  ask(kAssignmentType, {"a", "missing"});
  const Response first = nextAcked();
  EXPECT_THAT(namesOf(first), ElementsAre("a"));
  EXPECT_THAT(removedFrom(first), ElementsAre("missing"));
  ask(kAssignmentType, {"b"});
  EXPECT_THAT(namesOf(nextAcked()), ElementsAre("b"));
  ask(kAssignmentType, {}, {"a"});
  EXPECT_TRUE(sent_.empty());
  session_->onResources(resources({assignment("a", 9), assignment("missing", 3)}));
  const Response changed = nextAcked();
  EXPECT_THAT(namesOf(changed), ElementsAre("missing"));
  EXPECT_THAT(removedFrom(changed), ElementsAre("b"));
}

TEST_F(DeltaSessionTest, WhoAsksAgainGetsItAgain) {
  serve(resources({assignment("a", 1)}));
  ask(kAssignmentType, {"a"});
  nextAcked();
  ask(kAssignmentType, {"a"});
  EXPECT_THAT(namesOf(nextAcked()), ElementsAre("a"));
}

TEST_F(DeltaSessionTest, TheWildcardCanBeNamedAndGivenUp) {
  serve(resources({listener("a"), listener("b")}));
  ask(kListenerType, {"*", "a"});
  EXPECT_THAT(namesOf(nextAcked()), ElementsAre("a", "b"));
  ask(kListenerType, {}, {"*"});
  EXPECT_THAT(removedFrom(nextAcked()), ElementsAre("b"));
}

TEST_F(DeltaSessionTest, ANackIsLoggedWithItsMessage) {
  serve(resources({cluster("a")}));
  ask(kClusterType);
  Request nack;
  nack.set_type_url(std::string(kClusterType));
  nack.set_response_nonce(next().nonce());
  nack.mutable_error_detail()->set_message("a: lb_policy: 9 is not one");
  session_->onRequest(nack);
  EXPECT_TRUE(sent_.empty());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("a: lb_policy: 9 is not one"), std::string::npos);
}

TEST_F(DeltaSessionTest, AChangedClusterBringsItsEndpointsAgain) {
  serve(resources({cluster("a"), assignment("a", 1)}));
  ask(kClusterType);
  nextAcked();
  ask(kAssignmentType, {"a"});
  nextAcked();
  session_->onResources(resources({cluster("a", 6), assignment("a", 1)}));
  EXPECT_THAT(namesOf(nextAcked()), ElementsAre("a"));
  const Response endpoints = nextAcked();
  EXPECT_EQ(endpoints.type_url(), kAssignmentType);
  EXPECT_THAT(namesOf(endpoints), ElementsAre("a"));
}

}  // namespace
}  // namespace sockmesh
