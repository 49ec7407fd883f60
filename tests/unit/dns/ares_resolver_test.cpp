// SPDX-License-Identifier: Apache-2.0
// Names asked for over real sockets, from a real server.
#include "dns/ares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/loop_thread.h"
#include "support/dns_server.h"

namespace sockmesh {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Ares : public ::testing::Test {
 protected:
  void SetUp() override { begin({server_.address()}); }
  void TearDown() override {
    thread_->run([this] { resolver_.reset(); });
    thread_->stop();
  }
  void begin(const std::vector<SocketAddress>& servers) {
    thread_->run([&] { resolver_ = std::make_unique<AresResolver>(thread_->loop(), servers); });
  }
  DnsQuestion question(const std::string& name, DnsFamily family = DnsFamily::kAuto) const {
    DnsQuestion asked{name, family, {}};
    asked.settings.search = false;
    asked.settings.tries = 1;
    return asked;
  }
  DnsAnswer ask(const DnsQuestion& asked) {
    std::promise<DnsAnswer> promise;
    auto answer = promise.get_future();
    thread_->run([&] {
      resolver_->resolve(asked, [&](DnsAnswer given) { promise.set_value(std::move(given)); });
    });
    return answer.get();
  }
  std::vector<std::string> addresses(const DnsQuestion& asked) {
    std::vector<std::string> texts;
    const DnsAnswer answer = ask(asked);
    if (!answer) return {answer.error().message()};
    for (const DnsAddress& one : *answer) texts.push_back(one.ip.toString());
    return texts;
  }

  test::DnsServer server_;
  std::unique_ptr<LoopThread> thread_ = std::move(LoopThread::create()).value();
  std::unique_ptr<AresResolver> resolver_;
};

TEST_F(Ares, AsksForTheFamiliesThatTheQuestionNames) {
  server_.set("both.example", {"10.0.0.1", "fd00::1", "10.0.0.2"});
  server_.set("four.example", {"10.0.0.4"});
  server_.set("six.example", {"fd00::6"});
  EXPECT_THAT(addresses(question("both.example")), ElementsAre("fd00::1"));
  EXPECT_THAT(addresses(question("four.example")), ElementsAre("10.0.0.4"));
  EXPECT_THAT(addresses(question("both.example", DnsFamily::kV4Preferred)),
              ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(addresses(question("six.example", DnsFamily::kV4Preferred)), ElementsAre("fd00::6"));
  EXPECT_THAT(addresses(question("six.example", DnsFamily::kV4Only)), IsEmpty());
  EXPECT_THAT(addresses(question("four.example", DnsFamily::kV6Only)), IsEmpty());
  EXPECT_THAT(addresses(question("both.example", DnsFamily::kAll)),
              ElementsAre("10.0.0.1", "10.0.0.2", "fd00::1"));
}

TEST_F(Ares, TellsTheTtlAndKeepsTheOrderOfTheAnswer) {
  server_.set("a.example", {"10.0.0.9", "10.0.0.1", "10.0.0.5"}, 77);
  const DnsAnswer answer = ask(question("a.example"));
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->size(), 3U);
  EXPECT_EQ(answer->front(), (DnsAddress{*IpAddress::parse("10.0.0.9"), seconds(77)}));
  EXPECT_EQ(answer->back().ip.toString(), "10.0.0.5");
}

TEST_F(Ares, NoSuchNameIsAnAnswerAndAFailureIsNone) {
  EXPECT_THAT(addresses(question("nobody.example")), IsEmpty());
  server_.fail("broken.example");
  const DnsAnswer answer = ask(question("broken.example"));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message(), HasSubstr("server"));
  server_.set("broken.example", {"10.0.0.1"});
  EXPECT_THAT(addresses(question("broken.example")), ElementsAre("10.0.0.1"))
      << "and the next question is not harmed";
}

TEST_F(Ares, AClustersOwnServersAreAsked) {
  test::DnsServer other;
  other.set("a.example", {"10.0.0.2"});
  server_.set("a.example", {"10.0.0.1"});
  DnsQuestion asked = question("a.example");
  asked.settings.servers = {other.address()};
  EXPECT_THAT(addresses(asked), ElementsAre("10.0.0.2"));
  asked.settings.serversAreFallback = true;
  EXPECT_THAT(addresses(asked), ElementsAre("10.0.0.1"));
}

TEST_F(Ares, ManyQuestionsAtATimeAreAllAnswered) {
  constexpr int kNames = 200;
  for (int i = 0; i < kNames; ++i) {
    server_.set("n" + std::to_string(i) + ".example", {"10.0.0." + std::to_string(i)});
  }
  std::promise<void> all;
  std::map<std::string, std::string> got;  // the loop's thread
  thread_->run([&] {
    for (int i = 0; i < kNames; ++i) {
      const DnsQuestion asked = question("n" + std::to_string(i) + ".example", DnsFamily::kV4Only);
      resolver_->resolve(asked, [&, asked](const DnsAnswer& answer) {
        got[asked.name] = answer && !answer->empty() ? answer->front().ip.toString() : "failed";
        if (got.size() == kNames) all.set_value();
      });
    }
  });
  all.get_future().wait();
  for (int i = 0; i < kNames; ++i) {
    EXPECT_EQ(got["n" + std::to_string(i) + ".example"], "10.0.0." + std::to_string(i));
  }
}

TEST_F(Ares, AResolverThatEndsAnswersNoQuestion) {
  bool called = false;
  thread_->run([&] {
    resolver_->resolve(question("a.example"), [&](const DnsAnswer&) { called = true; });
    resolver_.reset();
  });
  thread_->run([] {});
  thread_->stop();
  EXPECT_FALSE(called);
  thread_ = std::move(LoopThread::create()).value();
}

}  // namespace
}  // namespace sockmesh
