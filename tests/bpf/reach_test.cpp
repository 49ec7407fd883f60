// SPDX-License-Identifier: Apache-2.0
// Sockets that reach one address family: what they are sent to, with real sockets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "lb/compiler.h"
#include "support/datapath_test.h"
#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

constexpr const char* kSixVip = "[fd00:96::1]:80";

// A socket as applications make them.
struct Kind {
  bool six = false;
  bool sixOnly = false;
  const char* bound = nullptr;  // a source address
};
constexpr Kind kFour{};
constexpr Kind kDual{.six = true};
constexpr Kind kSixOnly{.six = true, .sixOnly = true};

class ReachOfSockets : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    four_ = at("127.0.4.1:0");
    six_ = at("[::1]:0");
    fourListener_ = std::move(listenOn(four_)).value();
    sixListener_ = std::move(listenOn(six_)).value();
  }

  static Endpoint host(const SocketAddress& address) {
    Endpoint made;
    made.address = address;
    return made;
  }
  Endpoint dualHost() const {
    Endpoint made = host(six_);
    made.otherAddress = four_;
    return made;
  }

  // One service, cluster c, at both VIPs.
  WriteReport serve(const std::vector<Endpoint>& hosts, LbPolicy policy = LbPolicy::kRoundRobin,
                    std::uint32_t affinitySeconds = 0, const HealthOverlay& overlay = {}) {
    LoadAssignment given = assignment({locality("a", 0, 1, 0, 0)});
    given.localities[0].endpoints = hosts;
    Cluster c = cluster("c", policy);
    c.outlierDetection.emplace();
    c.outlierDetection->maxEjectionPercent = 100;
    SnapshotBuilder builder;
    builder.put(c, given).listen("l", {kVip, kSixVip}, {{"c", 1, {}}}, true);
    CompilerOptions options;
    options.affinity.byService["l"] = affinitySeconds;
    auto tables = Compiler(options).compile(builder.snapshot(), overlay, std::chrono::seconds(1));
    auto report = writer_->apply(tables);
    EXPECT_TRUE(report.errors.empty()) << report.errors.front();
    return report;
  }

  static UniqueFd made(const Kind& kind) {
    UniqueFd fd = tcpSocket(kind.six);
    const int on = 1;
    if (kind.sixOnly) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (kind.bound != nullptr) {
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      inet_pton(AF_INET6, kind.bound, &name.sin6_addr);
      EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    }
    return fd;
  }

  // Where a connection of such a socket went; getpeername() must show the VIP. Nothing, and errno
  // in error_, if it failed.
  SocketAddress from(const Kind& kind, const std::string& vip) {
    const UniqueFd fd = made(kind);
    error_ = connectErrno(fd.get(), at(vip), kind.six && at(vip).ip.isV4());
    if (error_ != 0) return {};
    EXPECT_EQ(peerOf(fd.get()), at(vip));
    // The client's own address is of the family that it was sent to.
    const bool four = localOf(fd.get()).ip.isV4();
    return acceptedAt(four ? fourListener_ : sixListener_);
  }

  std::uint64_t mismatches() {
    return readCounter(datapath_->maps(), SM_COUNTER_FAMILY_MISMATCH).value();
  }

  SocketAddress four_;
  SocketAddress six_;
  UniqueFd fourListener_;
  UniqueFd sixListener_;
  int error_ = 0;
};

TEST_F(ReachOfSockets, AHostThatTheSocketCannotReachIsNoChoice) {
  for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kRandom, LbPolicy::kLeastRequest,
                                LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    serve({host(four_), host(six_)}, policy);
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(from(kFour, kVip), four_) << std::strerror(error_);
      ASSERT_EQ(from(kSixOnly, kSixVip), six_) << std::strerror(error_);
    }
  }
  serve({host(four_), host(six_)});
  std::map<SocketAddress, int> went;
  for (int i = 0; i < 20; ++i) {
    ++went[from(kDual, kVip)];
    ++went[from(kDual, kSixVip)];
  }
  EXPECT_EQ(went[four_], 20) << "an IPv6 socket reaches both";
  EXPECT_EQ(went[six_], 20);
  EXPECT_EQ(mismatches(), 0U);
}

TEST_F(ReachOfSockets, ABoundIpv6SocketReachesTheFamilyOfItsAddress) {
  serve({host(four_), host(six_)});
  for (int i = 0; i < 10; ++i) {
    for (const char* vip : {kVip, kSixVip}) {
      EXPECT_EQ(from({.six = true, .bound = "::1"}, vip), six_);
      EXPECT_EQ(from({.six = true, .bound = "::ffff:127.0.0.1"}, vip), four_);
    }
  }
}

// The kernel leaves such a socket with IPv4's operations: a SYN to an IPv6 address would not leave.
TEST_F(ReachOfSockets, AnIpv6SocketThatFailedOverIpv4KeepsToIpv4) {
  for (int i = 0; i < 6; ++i) {
    serve({host(at("127.0.4.1:1"))});
    const UniqueFd fd = made(kDual);
    ASSERT_EQ(connectErrno(fd.get(), at(kSixVip)), ECONNREFUSED);
    serve({host(four_), host(six_)});
    ASSERT_EQ(connectErrno(fd.get(), at(kSixVip)), 0);
    EXPECT_EQ(acceptedAt(fourListener_), four_);
  }
}

TEST_F(ReachOfSockets, AHostWithTwoAddressesIsOneEndpoint) {
  serve({dualHost()});
  EXPECT_EQ(from(kFour, kVip), four_) << std::strerror(error_);
  EXPECT_EQ(from(kSixOnly, kSixVip), six_) << std::strerror(error_);
  EXPECT_EQ(from(kDual, kVip), four_) << "who asks for an IPv4 VIP has IPv4";
  EXPECT_EQ(from(kDual, kSixVip), six_);
  const auto stats = statsOf("c", six_.toString());
  EXPECT_EQ(stats.selected, 4U);
  EXPECT_EQ(stats.established, 4U);
  EXPECT_EQ(image().endpoints.size(), 1U);
  const UniqueFd held = made(kFour);
  ASSERT_EQ(connectErrno(held.get(), at(kVip)), 0);
  EXPECT_EQ(activeOf("c", six_.toString()), 1U);
}

TEST_F(ReachOfSockets, WithoutAnyHostThatTheSocketReachesItIsRefusedAndCounted) {
  serve({host(six_)});
  from(kFour, kVip);
  EXPECT_EQ(error_, EAFNOSUPPORT);
  EXPECT_EQ(from(kDual, kVip), six_);
  serve({host(four_)});
  from(kSixOnly, kSixVip);
  EXPECT_EQ(error_, EAFNOSUPPORT);
  EXPECT_EQ(from(kDual, kSixVip), four_);
  EXPECT_EQ(mismatches(), 2U);
  EXPECT_EQ(sumClusterStats(datapath_->maps(), ids_->clusterId("c")).refused_no_endpoints, 2U);
  EXPECT_EQ(records(), 0U);
}

TEST_F(ReachOfSockets, AffinityKeepsToWhatTheSocketReaches) {
  serve({host(four_), host(six_)}, LbPolicy::kRoundRobin, 10800);
  const Kind client{.six = true, .bound = "::ffff:127.0.0.1"};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(from(kFour, kVip), four_);
    EXPECT_EQ(from(client, kVip), four_);
  }
}

// An ejection that the tables do not know yet: another one within reach.
TEST_F(ReachOfSockets, WhatReplacesAnEjectedHostIsWithinReachToo) {
  SocketAddress second = at("127.0.4.2:" + std::to_string(four_.port));
  const auto listener = std::move(listenOn(second)).value();
  serve({host(four_), host(six_), host(second)});
  ASSERT_TRUE(
      datapath_->ejections().detect(idOf("c", second.toString()), Detector::kConsecutive5xx, 100));
  for (int i = 0; i < 20; ++i) ASSERT_EQ(from(kFour, kVip), four_) << std::strerror(error_);
}

TEST_F(ReachOfSockets, ARestartTakesItAllOver) {
  serve({host(four_), host(six_), dualHost()});
  open();
  EXPECT_EQ(serve({host(four_), host(six_), dualHost()}).writes, 0U);
  EXPECT_EQ(from(kFour, kVip), four_);
  EXPECT_EQ(from(kSixOnly, kSixVip), six_);
}

// The addresses of an endpoint in use do not change under a connection: it is another endpoint.
TEST_F(ReachOfSockets, AnotherSecondAddressLeavesConnectionsAsTheyAre) {
  serve({dualHost()});
  const UniqueFd held = made(kFour);
  ASSERT_EQ(connectErrno(held.get(), at(kVip)), 0);
  const std::uint32_t before = idOf("c", six_.toString());
  SocketAddress moved = at("127.0.4.9:0");
  const auto listener = std::move(listenOn(moved)).value();
  Endpoint other = dualHost();
  other.otherAddress = moved;
  serve({other});
  EXPECT_NE(idOf("c", six_.toString()), before);
  EXPECT_EQ(peerOf(held.get()), at(kVip));
  const UniqueFd next = made(kFour);
  ASSERT_EQ(connectErrno(next.get(), at(kVip)), 0);
  EXPECT_EQ(acceptedAt(listener), moved);
  open();
  EXPECT_EQ(peerOf(held.get()), at(kVip));
  EXPECT_EQ(peerOf(next.get()), at(kVip));
}

}  // namespace
}  // namespace sockmesh::test
