// SPDX-License-Identifier: Apache-2.0
// Clients that behave badly hold no thread, and liveness is answered whatever they do.
#include "admin/http_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <random>
#include <thread>

#include "http_fixture.h"

namespace sockmesh::test {
namespace {

using std::chrono::milliseconds;

constexpr const char* kHalf = "GET /slow HTTP/1.1\r\nHost: localhost\r\nX-Half: ";

class HttpServerTest : public ::testing::Test {
 protected:
  void start(const HttpLimits& limits) {
    HttpHandlers handlers;
    handlers.atOnce = [](const HttpRequest& request) -> std::optional<HttpResponse> {
      if (request.path == "/slow" || request.path == "/big") return std::nullopt;
      return textResponse(200, request.path + "\n");
    };
    handlers.handle = [this](const HttpRequest& request) {
      if (request.path == "/big") return textResponse(200, std::string(64 << 20, 'x'));
      ++working_;
      released_.wait();
      return textResponse(200, "slow\n");
    };
    auto listeners = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
    ASSERT_TRUE(listeners) << listeners.error().message();
    address_ = listeners->address();
    auto started = HttpServer::start(std::move(listeners).value(), std::move(handlers), limits);
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(started).value();
  }
  UniqueFd half() {
    UniqueFd connection = connectTo(address_);
    EXPECT_TRUE(sendText(connection, kHalf));
    return connection;
  }
  HttpAnswer get(const std::string& target) { return request(connectTo(address_), "GET", target); }
  static std::size_t descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  // Blocks until the server closes; true if it sent nothing.
  static bool closedWithoutAWord(const UniqueFd& connection) {
    char byte = 0;
    return recv(connection.get(), &byte, 1, 0) <= 0;
  }

  SocketAddress address_;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
  std::atomic<int> working_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, HalfSentRequestsDoNotKeepOthersWaiting) {
  start({.head = std::chrono::hours(1)});
  std::vector<UniqueFd> halves;
  for (int i = 0; i < 30; ++i) halves.push_back(half());
  EXPECT_EQ(get("/healthz").body, "/healthz\n");
  // And each can still be completed.
  EXPECT_TRUE(sendText(halves[0], "x\r\n\r\n"));
  release_.set_value();
  EXPECT_EQ(readAnswer(halves[0]).body, "slow\n");
}

TEST_F(HttpServerTest, AHeadHasATimeOut) {
  start({.head = milliseconds(30)});
  const UniqueFd connection = half();
  EXPECT_TRUE(closedWithoutAWord(connection));
  EXPECT_EQ(get("/").status, 200);
}

// A byte now and then does not prolong the time.
TEST_F(HttpServerTest, TheTimeOutIsOfTheWholeHead) {
  start({.head = milliseconds(100)});
  const UniqueFd connection = half();
  const auto begin = std::chrono::steady_clock::now();
  std::thread trickle([&] {
    while (sendText(connection, "x")) std::this_thread::sleep_for(milliseconds(5));
  });
  EXPECT_TRUE(closedWithoutAWord(connection));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(90));
  trickle.join();
}

TEST_F(HttpServerTest, TheOldestConnectionGivesWay) {
  start({.connections = 4, .head = std::chrono::hours(1)});
  std::vector<UniqueFd> halves;
  for (int i = 0; i < 4; ++i) halves.push_back(half());
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(closedWithoutAWord(halves[0]));
  EXPECT_TRUE(sendText(halves[3], "x\r\n\r\n"));
  release_.set_value();
  EXPECT_EQ(readAnswer(halves[3]).status, 200) << "the youngest one is served";
}

TEST_F(HttpServerTest, BusyWorkersDoNotKeepQuickAnswersWaiting) {
  start({.workers = 1, .waiting = 1});
  std::vector<UniqueFd> slow;
  const std::string request = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
  slow.push_back(connectTo(address_));
  ASSERT_TRUE(sendText(slow[0], request));
  while (working_ == 0) std::this_thread::yield();
  slow.push_back(connectTo(address_));
  ASSERT_TRUE(sendText(slow[1], request));
  EXPECT_EQ(get("/healthz").status, 200) << "the second request waits by now";
  EXPECT_EQ(get("/slow").status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
  release_.set_value();
  EXPECT_EQ(readAnswer(slow[0]).body, "slow\n");
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsClosed) {
  start({.answer = milliseconds(50)});
  const std::size_t before = descriptors();
  const UniqueFd connection = connectTo(address_);
  ASSERT_TRUE(sendText(connection, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_EQ(get("/healthz").status, 200) << "the first connection is accepted by now";
  // Until only the client's end is left.
  while (descriptors() > before + 1) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_LT(readAnswer(connection).body.size(), std::size_t{64} << 20);
}

TEST_F(HttpServerTest, ALongAnswerArrivesWhole) {
  start({});
  EXPECT_EQ(get("/big").body, std::string(64 << 20, 'x'));
}

TEST_F(HttpServerTest, WhatIsNoRequestIsRefused) {
  start({});
  const auto answerTo = [this](const std::string& text) {
    const UniqueFd connection = connectTo(address_);
    sendText(connection, text);
    return readAnswer(connection).status;
  };
  EXPECT_EQ(answerTo("hello\r\n\r\n"), 400);
  EXPECT_EQ(answerTo("GET http://localhost/ HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(answerTo("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(answerTo("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
  EXPECT_EQ(answerTo("GET / HTTP/1.1\r\n: empty\r\n\r\n"), 400);
  EXPECT_EQ(answerTo("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(answerTo("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(answerTo("POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), 200);
  EXPECT_EQ(get("/a%20b%zz").body, "/a b%zz\n");
}

TEST_F(HttpServerTest, AnyBytesLeaveTheServerAlive) {
  start({.head = milliseconds(20)});
  std::mt19937 random(1);
  const std::string alphabet = "GET /?&=%a1HTTP1.:\r\n\r\n \t[]Hosthost\xff" + std::string(1, '\0');
  for (int i = 0; i < 300; ++i) {
    std::string text = i % 2 == 0 ? "" : "GET /";
    const std::size_t length = random() % 200;
    while (text.size() < length) text += alphabet[random() % alphabet.size()];
    const UniqueFd connection = connectTo(address_);
    sendText(connection, text + (i % 3 == 0 ? "\r\n\r\n" : ""));
    if (i % 3 == 0) readAnswer(connection);
  }
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(HttpServerTest, ItStopsAtOnce) {
  start({});
  const UniqueFd connection = half();
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_TRUE(closedWithoutAWord(connection));
}

}  // namespace
}  // namespace sockmesh::test
