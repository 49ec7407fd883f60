// SPDX-License-Identifier: Apache-2.0
// `connect` with real sockets, and no sockmesh under them.
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/unique_fd.h"
#include "cli.h"
#include "support/schema.h"

namespace sockmesh::ctl::test {
namespace {

using nlohmann::json;

struct Ran {
  int exitCode = 0;
  std::string out;
  std::string err;
};

Ran connectTo(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "connect");
  std::ostringstream out, err;
  const int exitCode = runCli(arguments, out, err);
  return {exitCode, out.str(), err.str()};
}

// Bound to a free port of 127.0.0.1. Without listen() the port refuses.
class Port {
 public:
  explicit Port(bool listens) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd_.get(), generic, length), 0);
    EXPECT_EQ(getsockname(fd_.get(), generic, &length), 0);
    EXPECT_TRUE(!listens || listen(fd_.get(), 64) == 0);
    number_ = std::to_string(ntohs(address.sin_port));
  }
  std::string at(const std::string& host) const { return host + ":" + number_; }

 private:
  UniqueFd fd_;
  std::string number_;
};

TEST(Connect, SaysThatTheAddressItselfAnswered) {
  const Port port(true);
  const Ran ran = connectTo({port.at("localhost"), "--count", "3", "-o", "json"});
  EXPECT_EQ(ran.exitCode, 0) << ran.err;
  const json report = json::parse(ran.out);
  EXPECT_EQ(report["kind"], "ConnectReport");
  EXPECT_THAT(sockmesh::test::violations(report), ::testing::IsEmpty());
  EXPECT_EQ(report["address"], port.at("127.0.0.1"));
  EXPECT_EQ(report["established"], 3);
  EXPECT_EQ(report["rewritten"], 0);
  EXPECT_EQ(report["endpoints"],
            json::parse(R"([{"endpoint":")" + port.at("127.0.0.1") + R"(","count":3}])"));
}

TEST(Connect, FailsWhereItMustBeRewrittenAndIsNot) {
  const Port port(true);
  const Ran ran = connectTo({port.at("127.0.0.1"), "--rewritten"});
  EXPECT_EQ(ran.exitCode, 1);
  EXPECT_NE(ran.out.find("10 of 10 connections established, 0 rewritten"), std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("not rewritten"), std::string::npos) << ran.out;
}

TEST(Connect, ARefusedConnectionIsAFailureWithItsReason) {
  const Port port(false);
  const Ran ran = connectTo({port.at("127.0.0.1"), "--count", "2", "-o", "json"});
  EXPECT_EQ(ran.exitCode, 1);
  EXPECT_EQ(json::parse(ran.out)["failures"],
            json::parse(R"([{"reason":"Connection refused","count":2}])"));
}

TEST(Connect, ANameWithoutAnAddressIsSaid) {
  const Ran ran = connectTo({"no-such-name.invalid:80"});
  EXPECT_EQ(ran.exitCode, 1);
  EXPECT_EQ(ran.err.find("sockmeshctl: no-such-name.invalid: "), 0U) << ran.err;
}

TEST(Connect, WrongUsageIs64) {
  EXPECT_EQ(connectTo({"127.0.0.1"}).exitCode, 64);
  EXPECT_EQ(connectTo({"http://127.0.0.1:80"}).exitCode, 64);
  EXPECT_EQ(connectTo({"127.0.0.1:80", "--count", "0"}).exitCode, 64);
}

}  // namespace
}  // namespace sockmesh::ctl::test
