// SPDX-License-Identifier: Apache-2.0
// Who may do what: Host over TCP, changes on the Unix socket, and the socket's file itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>

#include "admin/admin_server.h"
#include "base/log.h"
#include "http_fixture.h"

namespace sockmesh::test {
namespace {

constexpr uid_t kNobody = 65534;

class AdminAccess : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "admin-access-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    socket_ = folder_ + "/run/admin.sock";
    auto listeners = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
    ASSERT_TRUE(listeners) << listeners.error().message();
    ASSERT_TRUE(listeners->addSocket(socket_));
    address_ = listeners->address();
    auto started =
        AdminServer::start(std::move(listeners).value(), state_, {},
                           {.allowedHosts = {"node-1.example"},
                            .verify = [] { return Result<DriftReport>(report()); },
                            .repair =
                                [this] {
                                  ++repairs_;
                                  return repairs_ == 1 ? Status() : Status(Error("no maps"));
                                }});
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(started).value();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  HttpAnswer byTcp(const std::string& method, const std::string& target, const std::string& host) {
    return request(connectTo(address_), method, target, "Host: " + host + "\r\n");
  }

  static DriftReport report() {
    return {
        .services = 1,
        .clusters = 1,
        .endpoints = 2,
        .drifts = {{Drift::Between::kTablesAndKernel, "Cluster", "a", "ejection.limit", "1", "9"}}};
  }

  std::atomic<int> repairs_{0};
  std::string folder_;
  std::string socket_;
  SocketAddress address_;
  AdminState state_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminAccess, VerifyIsForEverybodyAndRepairForRoot) {
  const HttpAnswer found = byTcp("GET", "/verify", "127.0.0.1");
  EXPECT_EQ(found.status, 200);
  for (const char* part : {R"("between": "TablesAndKernel")", R"("field": "ejection.limit")",
                           R"("wanted": "1")", R"("found": "9")"}) {
    EXPECT_NE(found.body.find(part), std::string::npos) << part << found.body;
  }
  EXPECT_EQ(byTcp("POST", "/verify", "127.0.0.1").status, 405);
  EXPECT_EQ(byTcp("GET", "/repair", "127.0.0.1").status, 405);
  EXPECT_EQ(byTcp("POST", "/repair", "127.0.0.1").status, 403);
  EXPECT_EQ(request(connectTo(socket_), "GET", "/repair").status, 405);
  EXPECT_EQ(repairs_, 0);
  EXPECT_EQ(request(connectTo(socket_), "POST", "/repair").status, 200);
  const HttpAnswer failed = request(connectTo(socket_), "POST", "/repair");
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(failed.body, "no maps\n");
}

TEST_F(AdminAccess, AHostThatAWebPageCouldChooseIsRefused) {
  for (const char* host : {"localhost", "LocalHost:15077", "127.0.0.1", "10.1.2.3:15077", "[::1]",
                           "[fd00::1]:80", "node-1.example", "Node-1.Example:15077"}) {
    EXPECT_EQ(byTcp("GET", "/healthz", host).status, 200) << host;
  }
  for (const char* host : {"rebound.example", "localhost.example", "127.0.0.1.example:15077",
                           "node-1.example.org", "[localhost", "a b"}) {
    for (const char* path : {"/healthz", "/metrics", "/config_dump", "/"}) {
      EXPECT_EQ(byTcp("GET", path, host).status, 421) << host << path;
    }
  }
  EXPECT_EQ(request(connectTo(address_), "GET", "/healthz", "").status, 200)
      << "no browser does so";
  EXPECT_EQ(
      request(connectTo(address_), "GET", "/healthz", "Host: localhost\r\nHost: localhost\r\n")
          .status,
      400);
}

TEST_F(AdminAccess, ChangesByTcpAreRefused) {
  logger("access-test")->set_level(spdlog::level::info);
  const HttpAnswer answer = byTcp("POST", "/logging?access-test=debug", "127.0.0.1");
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.body.find("Unix socket"), std::string::npos) << answer.body;
  EXPECT_EQ(logger("access-test")->level(), spdlog::level::info);
  EXPECT_EQ(request(connectTo(socket_), "POST", "/logging?access-test=debug").status, 200);
  EXPECT_EQ(logger("access-test")->level(), spdlog::level::debug);
  EXPECT_EQ(request(connectTo(socket_), "GET", "/logging").status, 200);
}

TEST_F(AdminAccess, AnotherUserReachesNothing) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  logger("access-test")->set_level(spdlog::level::info);
  struct stat status {};
  ASSERT_EQ(stat(socket_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  for (const bool open : {false, true}) {
    // Also where the mode of the socket lets everybody in, the peer's user decides.
    if (open) chmod(socket_.c_str(), 0666);
    const pid_t child = fork();
    if (child == 0) {
      if (setresuid(kNobody, kNobody, kNobody) != 0) _exit(99);
      const UniqueFd connection = connectTo(socket_);
      if (!connection.valid()) _exit(1);
      _exit(request(connection, "POST", "/logging?access-test=debug").status == 403 ? 2 : 3);
    }
    int ended = 0;
    ASSERT_EQ(waitpid(child, &ended, 0), child);
    EXPECT_EQ(WEXITSTATUS(ended), open ? 2 : 1);
  }
  EXPECT_EQ(logger("access-test")->level(), spdlog::level::info);
}

TEST_F(AdminAccess, TheSocketOfADeadProcessIsReplacedAndThatOfALivingOneIsNot) {
  auto others = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
  ASSERT_TRUE(others);
  const Status second = others->addSocket(socket_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(), "admin socket " + socket_ +
                                          ": another process serves this socket: end that process "
                                          "first");
  EXPECT_EQ(request(connectTo(socket_), "GET", "/healthz").status, 200) << "the first one goes on";
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(socket_)) << "removed with the server";
  {
    // As a process leaves it that is killed.
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strcpy(name.sun_path, socket_.c_str());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  }
  EXPECT_TRUE(others->addSocket(socket_));
}

TEST_F(AdminAccess, AFolderThatCannotBeMadeIsAnErrorWithThePath) {
  auto listeners = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
  ASSERT_TRUE(listeners);
  const Status failed = listeners->addSocket("/proc/none/admin.sock");
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message().starts_with("admin socket /proc/none/admin.sock: "))
      << failed.error().message();
}

}  // namespace
}  // namespace sockmesh::test
