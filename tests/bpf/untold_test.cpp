// SPDX-License-Identifier: Apache-2.0
// Records whose end TCP does not report: sockets that the kernel made for MPTCP, a failed connect()
// that is followed by a direct one, connections to themselves.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "records_fixture.h"
#include "support/process.h"

namespace sockmesh::test {
namespace {

constexpr int kMptcp = 262;  // IPPROTO_MPTCP; Debian 12's netinet/in.h knows it, others not
const char* const kVip = "10.96.0.1:80";
const char* const kVip6 = "[fd00::1]:80";
const char* const kNowhere = "10.96.0.2:80";
const char* const kNowhere6 = "[fd00::2]:80";

class Untold : public RecordsTest {
 protected:
  void SetUp() override {
    RecordsTest::SetUp();
    backend6_ = at("[::1]:0");
    listener6_ = std::move(listenOn(backend6_)).value();
    apply(TableBuilder()
              .service(kVip, "here", {backend_.toString()})
              .service(kVip6, "here6", {backend6_.toString()})
              .service(kNowhere, "nowhere", {kFar})
              .service(kNowhere6, "nowhere6", {kFar6})
              .service("10.96.0.3:80", "empty", {})
              .leftAlone("10.96.0.4:80", "tls", SM_REASON_TLS));
  }
  std::uint32_t active() override {
    return activeOf("here", backend_.toString()) + activeOf("here6", backend6_.toString()) +
           activeOf("nowhere", kFar) + activeOf("nowhere6", kFar6);
  }
  std::uint64_t localFailures() {
    return statsOf("nowhere", kFar).failed[SM_FAILURE_LOCAL] +
           statsOf("nowhere6", kFar6).failed[SM_FAILURE_LOCAL];
  }

  static constexpr const char* kFar = "203.0.113.1:4080";  // no route here
  static constexpr const char* kFar6 = "[2001:db8::1]:4080";
  SocketAddress backend6_;
  UniqueFd listener6_;
};

// ---- MPTCP: the application's socket is not the socket that connects ----

class Mptcp : public Untold {
 protected:
  void SetUp() override {
    if (!socketOf(false).valid()) GTEST_SKIP() << "no MPTCP in this kernel";
    Untold::SetUp();
  }
  static UniqueFd socketOf(bool v6) {
    return UniqueFd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, kMptcp));
  }
};

TEST_F(Mptcp, ItsConnectionsAreRewrittenCountedAndShowTheVip) {
  for (const bool v6 : {false, true}) {
    for (const bool mapped : {false, true}) {
      if (v6 && mapped) continue;
      const std::string vip = v6 ? kVip6 : kVip;
      UniqueFd client = socketOf(v6 || mapped);
      ASSERT_EQ(connectErrno(client.get(), at(vip), mapped), 0) << vip;
      const UniqueFd server = acceptOn(v6 ? listener6_ : listener_);
      EXPECT_EQ(records(), 1u);
      EXPECT_EQ(active(), 1u);
      EXPECT_EQ(peerOf(client.get()), at(vip)) << peerOf(client.get()).toString();
      client.reset();
      ::shutdown(server.get(), SHUT_RDWR);
      expectNothingLeft();
    }
  }
  EXPECT_EQ(statsOf("here", backend_.toString()).established, 2u);
  EXPECT_EQ(statsOf("here6", backend6_.toString()).established, 1u);
}

// The application's socket keeps what it asked for, and the socket that connects has the record.
TEST_F(Mptcp, IntoARangeOfAddresses) {
  apply(TableBuilder()
            .service("10.97.0.0/16:80", "here", {backend_.toString()})
            .service("[fd01::/32]:80", "here6", {backend6_.toString()}));
  const auto expectShown = [&](const std::string& vip, bool v6, bool mapped) {
    UniqueFd client = socketOf(v6 || mapped);
    ASSERT_EQ(connectErrno(client.get(), at(vip), mapped), 0) << vip;
    const UniqueFd server = acceptOn(v6 ? listener6_ : listener_);
    EXPECT_EQ(peerOf(client.get()), at(vip)) << peerOf(client.get()).toString();
    EXPECT_EQ(records(), 1u);
    EXPECT_EQ(activeOf("here", backend_.toString()) + activeOf("here6", backend6_.toString()), 1u);
    client.reset();
    ::shutdown(server.get(), SHUT_RDWR);
    EXPECT_TRUE(eventually([&] { return records() == 0; }));
  };
  expectShown("10.97.2.3:80", false, false);
  expectShown("10.97.255.255:80", false, true);
  expectShown("[fd01::7]:80", true, false);
  EXPECT_EQ(statsOf("here", backend_.toString()).established, 2u);
  EXPECT_EQ(statsOf("here6", backend6_.toString()).established, 1u);
}

TEST_F(Mptcp, IntoARangeAgainShowsWhatWasAskedForLast) {
  apply(TableBuilder().service("10.97.0.0/16:80", "here", {backend_.toString()}));
  const UniqueFd client = socketOf(false);
  ASSERT_EQ(connectErrno(client.get(), at("10.97.1.1:80")), 0);
  acceptOn(listener_);
  const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
  ASSERT_EQ(connect(client.get(), &none, sizeof(none)), 0);
  ASSERT_EQ(connectErrno(client.get(), at("10.97.1.2:80")), 0);
  const UniqueFd server = acceptOn(listener_);
  EXPECT_EQ(peerOf(client.get()), at("10.97.1.2:80"));
}

TEST_F(Mptcp, BothEndsOfMptcp) {
  SocketAddress address = at("127.0.0.5:0");
  UniqueFd listener = socketOf(false);
  ASSERT_EQ(bindErrno(listener.get(), address), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  address = localOf(listener.get());
  apply(TableBuilder().service("10.96.0.5:80", "both", {address.toString()}));
  UniqueFd client = socketOf(false);
  ASSERT_EQ(connectErrno(client.get(), at("10.96.0.5:80")), 0);
  UniqueFd server = acceptOn(listener);
  EXPECT_EQ(peerOf(client.get()), at("10.96.0.5:80"));
  EXPECT_EQ(peerOf(server.get()), localOf(client.get()));
  EXPECT_EQ(activeOf("both", address.toString()), 1u);
  client.reset();
  server.reset();
  EXPECT_TRUE(
      eventually([&] { return records() == 0 && activeOf("both", address.toString()) == 0; }));
  EXPECT_EQ(statsOf("both", address.toString()).established, 1u);
}

TEST_F(Mptcp, AConnectThatFailsBeforeItsSynLeavesNothing) {
  for (int i = 0; i < 30; ++i) {
    const UniqueFd client = socketOf(i % 2 == 1);
    const bool v6 = i % 2 == 1;
    ASSERT_EQ(connectErrno(client.get(), at(v6 ? kNowhere6 : kNowhere)), ENETUNREACH);
  }
  expectNothingLeft();
  EXPECT_EQ(localFailures(), 30u);
}

TEST_F(Mptcp, NorOneThatFindsNoPort) {
  UniqueFd first = socketOf(false);
  UniqueFd second = socketOf(false);
  shareOnePort(first, second, at(kVip));
  EXPECT_EQ(connectErrno(second.get(), at(kVip)), EADDRNOTAVAIL);
  second.reset();
  EXPECT_EQ(records(), 1u);
  const UniqueFd server = acceptOn(listener_);
  first.reset();
  ::shutdown(server.get(), SHUT_RDWR);
  expectNothingLeft();
}

TEST_F(Mptcp, NorOneOfAProcessThatIsKilled) {
  const pid_t child = fork();
  if (child == 0) {
    const UniqueFd fd = socketOf(false);
    connectErrno(fd.get(), at(kNowhere));
    pause();
    _exit(0);
  }
  EXPECT_TRUE(eventually([&] { return active() == 1; }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  expectNothingLeft();
  EXPECT_EQ(localFailures(), 1u);
}

TEST_F(Mptcp, ASecondConnectReplacesTheRecord) {
  UniqueFd client = socketOf(false);
  EXPECT_EQ(connectErrno(client.get(), at(kNowhere)), ENETUNREACH);
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  const UniqueFd server = acceptOn(listener_);
  EXPECT_EQ(active(), 1u);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  client.reset();
  ::shutdown(server.get(), SHUT_RDWR);
  expectNothingLeft();
}

class MptcpInASmallTable : public Mptcp {
 protected:
  DatapathOptions options() const override {
    auto out = DatapathTest::options();
    out.maxConnections = 64;
    return out;
  }
};

TEST_F(MptcpInASmallTable, RecordsThatFindTheirBucketFullEndToo) {
  std::vector<UniqueFd> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(socketOf(false));
    ASSERT_EQ(connectErrno(all.back().get(), at(kNowhere)), ENETUNREACH);
  }
  EXPECT_EQ(active(), 200u);
  EXPECT_GT(datapath_->maps().globals[0].conn_overflow_live, 0u);
  all.clear();
  expectNothingLeft();
  EXPECT_EQ(localFailures(), 200u);
}

// ---- a record left over ----

struct Detour {
  const char* name;
  const char* vip;       // ENETUNREACH
  const char* endpoint;  // of that VIP: where the same socket goes then
  const char* address;   // that makes the endpoint reachable
  bool mapped;           // an IPv6 socket on IPv4's ways
  int protocol;
};

class LeftOver : public Untold, public testing::WithParamInterface<Detour> {};

TEST_P(LeftOver, ASocketThatGoesToTheBackendDirectlyIsNotTheServices) {
  const Detour& detour = GetParam();
  const SocketAddress endpoint = at(detour.endpoint);
  const bool v6 = detour.mapped || !endpoint.ip.isV4();
  UniqueFd client(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, detour.protocol));
  if (!client.valid()) GTEST_SKIP() << "no MPTCP in this kernel";
  ASSERT_EQ(connectErrno(client.get(), at(detour.vip), detour.mapped), ENETUNREACH);
  EXPECT_EQ(records(), 1u);

  ASSERT_EQ(run({"ip", "address", "add", detour.address, "dev", "lo", "nodad"}).code, 0);
  SocketAddress name = endpoint;
  UniqueFd listener;
  ASSERT_TRUE(eventually([&] {
    auto listening = listenOn(name);
    if (listening) listener = std::move(listening).value();
    return listener.valid();
  })) << name.toString();
  // An IPv6 address can be listened on before its route is there.
  ASSERT_TRUE(eventually([&] {
    const UniqueFd probe = tcpSocket(!endpoint.ip.isV4());
    return connectErrno(probe.get(), endpoint) == 0;
  }));
  acceptOn(listener);
  ASSERT_EQ(connectErrno(client.get(), endpoint, detour.mapped), 0);
  EXPECT_EQ(records(), 0u);
  EXPECT_EQ(active(), 0u);
  EXPECT_EQ(peerOf(client.get()), endpoint) << peerOf(client.get()).toString();
  const UniqueFd server = acceptOn(listener);
  client.reset();
  run({"ip", "address", "delete", detour.address, "dev", "lo"});
  expectNothingLeft();
  EXPECT_EQ(localFailures(), 1u);
  EXPECT_EQ(statsOf("nowhere", kFar).established + statsOf("nowhere6", kFar6).established, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Of, LeftOver,
    testing::Values(
        Detour{"V4", kNowhere, "203.0.113.1:4080", "203.0.113.1/32", false, 0},
        Detour{"Mapped", kNowhere, "203.0.113.1:4080", "203.0.113.1/32", true, 0},
        Detour{"V6", kNowhere6, "[2001:db8::1]:4080", "2001:db8::1/128", false, 0},
        Detour{"V4Mptcp", kNowhere, "203.0.113.1:4080", "203.0.113.1/32", false, kMptcp},
        Detour{"V6Mptcp", kNowhere6, "[2001:db8::1]:4080", "2001:db8::1/128", false, kMptcp}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Untold, AServiceThatRefusesOrIsLeftAloneEndsItToo) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kNowhere)), ENETUNREACH);
  EXPECT_EQ(connectErrno(client.get(), at("10.96.0.3:80")), ECONNREFUSED);
  expectNothingLeft();
  ASSERT_EQ(connectErrno(client.get(), at(kNowhere)), ENETUNREACH);
  EXPECT_EQ(connectErrno(client.get(), at("10.96.0.4:80")), ENETUNREACH);
  expectNothingLeft();
  EXPECT_EQ(localFailures(), 2u);
}

// ---- a connection to itself ----

TEST_F(Untold, AConnectionToItselfShowsItsRealPeerAndSpeaksForNobody) {
  for (const std::string host : {"127.0.0.9:0", "[::1]:0"}) {
    SocketAddress endpoint = at(host);
    listenOn(endpoint).value();  // closed again: nobody listens there
    const std::string vip = endpoint.ip.isV4() ? "10.96.0.9:80" : "[fd00::9]:80";
    apply(TableBuilder().service(vip, "self", {endpoint.toString()}).ejecting("self", 3, 1));
    for (const bool mapped : {false, true}) {
      if (mapped && !endpoint.ip.isV4()) continue;
      UniqueFd client = tcpSocket(mapped || !endpoint.ip.isV4());
      const int one = 1;
      setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
      ASSERT_EQ(bindErrno(client.get(), endpoint, mapped), 0);
      ASSERT_EQ(connectErrno(client.get(), at(vip), mapped), 0) << vip;
      // What an application asks to find that out.
      EXPECT_EQ(peerOf(client.get()), localOf(client.get()));
      EXPECT_EQ(records(), 0u);
      EXPECT_EQ(activeOf("self", endpoint.toString()), 0u);
      const linger now{1, 0};  // no TIME_WAIT
      setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    const auto stats = statsOf("self", endpoint.toString());
    EXPECT_EQ(stats.selected, endpoint.ip.isV4() ? 2u : 1u);
    EXPECT_EQ(stats.established, 0u);
    EXPECT_EQ(stats.failed[SM_FAILURE_LOCAL], stats.selected);
  }
}

}  // namespace
}  // namespace sockmesh::test
