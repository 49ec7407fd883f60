// SPDX-License-Identifier: Apache-2.0
// The watch against an API server that lists in pages, forgets versions and misbehaves.
#include "kube/pod_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "support/certificates.h"
#include "support/eventually.h"
#include "support/fake_api_server.h"

namespace sockmesh::test {
namespace {

using Fault = FakeApiServer::Fault;
using Request = FakeApiServer::Request;

constexpr std::chrono::seconds kPatience(60);

class PodWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "sockmesh-pods-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    authority_ = std::make_unique<CertificateAuthority>(folder_, "ca");
    server_ = std::make_unique<FakeApiServer>(authority_->sign("api", "IP:127.0.0.1"));
    writeToken("first");
    options_.server = {server_->address(), folder_ + "/token", authority_->root()};
    options_.node = "node-1";
    options_.rules = {
        {.field = "out",
         .letIn = false,
         .namespaces = {},
         .labels = {{{"mesh", "off"}}, {}},
         .annotations = {}},
        {.field = "in", .letIn = true, .namespaces = {"shop"}, .labels = {}, .annotations = {}}};
    options_.firstDelay = std::chrono::milliseconds(1);
    options_.longestDelay = std::chrono::milliseconds(20);
  }
  void TearDown() override {
    watch_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void writeToken(const std::string& token) const {
    std::ofstream(folder_ + "/token") << token << "\n";
  }
  void start() {
    auto watch = PodWatch::start(
        options_, {.onNews = [this](PodNews news) { take(std::move(news)); }, .onThread = {}});
    ASSERT_TRUE(watch) << watch.error().message();
    watch_ = std::move(watch).value();
  }
  void take(PodNews news) {
    const std::lock_guard lock(mutex_);
    for (const PodChange& change : news.changes) {
      rules_.erase(change.uid);
      if (change.now) rules_[change.uid] = change.now->rule;
      ++changes_;
    }
    stats_ = std::move(news.stats);
    told_.notify_all();
  }
  using Rules = std::map<std::string, std::string>;
  template <typename Condition>
  bool await(Condition condition) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, kPatience, [&] { return condition(); });
  }
  bool becomes(const Rules& expected) {
    return await([&] { return rules_ == expected && stats_.watching; });
  }
  std::string lastError() {
    const std::lock_guard lock(mutex_);
    return stats_.lastError;
  }
  bool failsWith(const std::string& text) {
    return await([&] { return stats_.lastError.find(text) != std::string::npos; });
  }

  std::string folder_;
  std::unique_ptr<CertificateAuthority> authority_;
  std::unique_ptr<FakeApiServer> server_;
  PodWatchOptions options_;
  std::mutex mutex_;
  std::condition_variable told_;
  Rules rules_;  // by uid; of pods that a rule names
  std::size_t changes_ = 0;
  PodWatchStats stats_;
  std::unique_ptr<PodWatch> watch_;
};

TEST_F(PodWatchTest, ListsInPagesAndThenHearsOfChanges) {
  options_.pageSize = 2;
  for (int i = 1; i <= 5; ++i) {
    const std::string number = std::to_string(i);
    server_->put({"shop/web-" + number, "u" + number});
  }
  server_->put({"else/db", "db", {{"mesh", "off"}}});
  server_->put({"shop/far", "far", {}, {}, "node-2"});
  start();
  const Rules first = {{"u1", "in"}, {"u2", "in"}, {"u3", "in"},
                       {"u4", "in"}, {"u5", "in"}, {"db", "out"}};
  EXPECT_TRUE(becomes(first)) << lastError();
  EXPECT_EQ(stats_.pods, 6U);
  EXPECT_EQ(stats_.leftOut, 1U);
  EXPECT_EQ(stats_.letIn, 5U);
  EXPECT_EQ(stats_.named.find("db")->second.name, "db");
  EXPECT_EQ(server_->lists(), 3U) << "pages";
  server_->put({"shop/web-1", "u1", {{"mesh", "off"}}});
  server_->erase("shop/web-2");
  server_->put({"else/db", "db"});
  EXPECT_TRUE(becomes({{"u1", "out"}, {"u3", "in"}, {"u4", "in"}, {"u5", "in"}})) << lastError();
  EXPECT_EQ(server_->lists(), 3U);
  EXPECT_EQ(stats_.failures, 0U);
}

TEST_F(PodWatchTest, AsksForMetadataOfThisNodeAloneWithTheToken) {
  start();
  ASSERT_TRUE(becomes({})) << lastError();
  const auto requests = server_->requests();
  ASSERT_GE(requests.size(), 2U);
  for (const Request& one : requests) {
    EXPECT_EQ(one.path, "/api/v1/pods");
    EXPECT_EQ(one.query.at("fieldSelector"), "spec.nodeName=node-1");
    EXPECT_EQ(one.authorization, "Bearer first");
    EXPECT_NE(one.accept.find("as=PartialObjectMetadata"), std::string::npos);
  }
  EXPECT_EQ(requests[0].query.at("resourceVersion"), "0") << "from the API server's cache";
  EXPECT_EQ(requests[1].query.at("allowWatchBookmarks"), "true");
}

TEST_F(PodWatchTest, AnUnchangedDecisionIsNoNews) {
  server_->put({"shop/web", "u"});
  start();
  ASSERT_TRUE(becomes({{"u", "in"}}));
  server_->put({"shop/web", "u", {{"other", "label"}}});
  server_->put({"shop/new", "v"});
  ASSERT_TRUE(becomes({{"u", "in"}, {"v", "in"}}));
  EXPECT_EQ(changes_, 2U);
}

TEST_F(PodWatchTest, AWatchThatEndsGoesOnWhereItWas) {
  start();
  ASSERT_TRUE(becomes({}));
  server_->put({"shop/web", "u"});
  ASSERT_TRUE(becomes({{"u", "in"}}));
  server_->bookmark();
  ASSERT_TRUE(await([&] { return stats_.heardAt > stats_.listedAt; }));
  server_->endWatches();
  ASSERT_TRUE(eventually([&] { return server_->watches() > 1; }, kPatience));
  server_->erase("shop/web");
  EXPECT_TRUE(becomes({})) << lastError();
  EXPECT_EQ(server_->lists(), 1U);
}

TEST_F(PodWatchTest, AVersionThatIsTooOldLeadsToANewList) {
  server_->put({"shop/web", "u"});
  server_->put({"shop/gone", "gone"});
  start();
  ASSERT_TRUE(becomes({{"u", "in"}, {"gone", "in"}}));
  // Both happen while nobody watches, and the versions between are forgotten.
  server_->setFault(Fault::kUnavailable);
  server_->endWatches();
  ASSERT_TRUE(failsWith("HTTP 503: the server is not ready"));
  server_->erase("shop/gone");
  server_->put({"shop/new", "new", {{"mesh", "off"}}});
  server_->compact();
  server_->setFault(Fault::kNone);
  EXPECT_TRUE(becomes({{"u", "in"}, {"new", "out"}})) << lastError();
  const auto requests = server_->requests();
  const auto list = std::find_if(requests.rbegin(), requests.rend(),
                                 [](const Request& one) { return !one.isWatch(); });
  EXPECT_FALSE(list->query.contains("resourceVersion")) << "the newest state is asked for";
}

TEST_F(PodWatchTest, WhatIsKnownStaysWhileTheServerMisbehaves) {
  server_->put({"shop/web", "u"});
  start();
  ASSERT_TRUE(becomes({{"u", "in"}}));
  const Rules known = {{"u", "in"}};
  server_->endWatches("{\"type\":\"SOMETHING\"}\n");
  EXPECT_TRUE(failsWith("resourceVersion")) << lastError();
  ASSERT_TRUE(becomes(known));
  server_->setFault(Fault::kForbidden);
  server_->endWatches();
  EXPECT_TRUE(failsWith("HTTP 403: pods is forbidden")) << lastError();
  EXPECT_EQ(rules_, known);
  server_->setFault(Fault::kGarbage);
  EXPECT_TRUE(await([&] { return stats_.failures > 4; }));
  EXPECT_EQ(rules_, known);
  server_->setFault(Fault::kHuge);
  EXPECT_TRUE(failsWith("too large")) << lastError();
  EXPECT_EQ(rules_, known);
  server_->setFault(Fault::kNone);
  server_->put({"shop/new", "new"});
  EXPECT_TRUE(becomes({{"u", "in"}, {"new", "in"}})) << lastError();
}

TEST_F(PodWatchTest, ASilentWatchIsBegunAgain) {
  options_.watchSilence = std::chrono::milliseconds(50);
  start();
  EXPECT_TRUE(failsWith("silent for too long")) << lastError();
  server_->put({"shop/web", "u"});
  EXPECT_TRUE(becomes({{"u", "in"}})) << lastError();
  EXPECT_EQ(server_->lists(), 1U) << "nothing was lost, so nothing is listed again";
}

TEST_F(PodWatchTest, AServerThatNeverAnswersIsGivenUpAndTriedAgain) {
  options_.listSilence = std::chrono::milliseconds(50);
  server_->setFault(Fault::kSilent);
  server_->put({"shop/web", "u"});
  start();
  EXPECT_TRUE(failsWith("silent for too long")) << lastError();
  EXPECT_FALSE(stats_.listedAt);
  server_->setFault(Fault::kNone);
  watch_.reset();
  options_.listSilence = std::chrono::seconds(30);
  start();
  EXPECT_TRUE(becomes({{"u", "in"}})) << lastError();
}

TEST_F(PodWatchTest, ItEndsAtOnceWhileTheServerIsSilent) {
  server_->setFault(Fault::kSilent);
  start();
  ASSERT_TRUE(eventually([&] { return server_->lists() > 0; }, kPatience));
  const auto begun = std::chrono::steady_clock::now();
  watch_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20));
}

TEST_F(PodWatchTest, ARenewedTokenIsUsed) {
  start();
  ASSERT_TRUE(becomes({}));
  writeToken("second");
  server_->endWatches();
  ASSERT_TRUE(eventually([&] { return server_->watches() > 1; }, kPatience));
  EXPECT_EQ(server_->requests().back().authorization, "Bearer second");
  std::filesystem::remove(folder_ + "/token");
  server_->endWatches();
  EXPECT_TRUE(failsWith("token: No such file")) << lastError();
}

TEST_F(PodWatchTest, AServerOfAnotherAuthorityGetsNoToken) {
  const CertificateAuthority other(folder_, "other");
  options_.server.rootPath = other.root();
  start();
  EXPECT_TRUE(failsWith("certificate")) << lastError();
  EXPECT_TRUE(server_->requests().empty());
  watch_.reset();
  options_.server.rootPath = folder_ + "/missing.pem";
  start();
  EXPECT_TRUE(failsWith("missing.pem")) << lastError();
}

}  // namespace
}  // namespace sockmesh::test
