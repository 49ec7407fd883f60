// SPDX-License-Identifier: Apache-2.0
// The life of connection records, and what the counters say of every way a connection can go. In
// every case no record is left and `active` returns to zero.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "records_fixture.h"

namespace sockmesh::test {
namespace {

const char* const kVip = "10.96.0.1:80";

class Records : public RecordsTest {
 protected:
  void SetUp() override {
    RecordsTest::SetUp();
    apply(TableBuilder().service(kVip, "a", {backend_.toString()}));
  }
  sm_endpoint_stats stats() { return statsOf("a", backend_.toString()); }
  std::uint32_t active() override { return activeOf("a", backend_.toString()); }
};

TEST_F(Records, AConnectionIsCountedFromSelectionToClose) {
  auto client = std::move(connectTo(at(kVip))).value();
  auto server = acceptOn(listener_);
  EXPECT_EQ(records(), 1u);
  EXPECT_EQ(active(), 1u);
  EXPECT_EQ(stats().selected, 1u);
  EXPECT_EQ(stats().established, 1u);

  const std::string question(1000, 'q');
  const std::string answer(70'000, 'a');
  ASSERT_EQ(send(client.get(), question.data(), question.size(), 0), 1000);
  std::thread answering([&] {
    std::string got(1000, ' ');
    recv(server.get(), got.data(), got.size(), MSG_WAITALL);
    send(server.get(), answer.data(), answer.size(), 0);
    server.reset();
  });
  std::string received(answer.size(), ' ');
  EXPECT_EQ(recv(client.get(), received.data(), received.size(), MSG_WAITALL), 70'000);
  answering.join();
  char end = 0;
  EXPECT_EQ(recv(client.get(), &end, 1, 0), 0);  // the server's FIN
  client.reset();
  expectNothingLeft();
  const auto after = stats();
  EXPECT_EQ(after.closed[SM_CLOSE_CLEAN], 1u);
  EXPECT_EQ(after.sent_bytes, 1000u);
  EXPECT_EQ(after.received_bytes, 70'000u);
  EXPECT_EQ(after.failed[SM_FAILURE_REFUSED], 0u);
  std::uint32_t latencies = 0;
  for (const auto bucket : after.connect_us) latencies += bucket;
  EXPECT_EQ(latencies, 1u);
}

// The server is gone and answers our FIN with a reset: that FIN is no byte that arrived.
TEST_F(Records, AResetInPlaceOfTheLastAckCountsNoByteLess) {
  auto client = std::move(connectTo(at(kVip))).value();
  auto server = acceptOn(listener_);
  ASSERT_EQ(send(client.get(), "hello", 5, 0), 5);
  char buffer[8];
  ASSERT_EQ(recv(server.get(), buffer, 5, MSG_WAITALL), 5);
  // No TIME_WAIT is left after its FIN has been acknowledged, so later segments are reset.
  const int noLinger = -1;
  ASSERT_EQ(setsockopt(server.get(), IPPROTO_TCP, TCP_LINGER2, &noLinger, sizeof(noLinger)), 0);
  server.reset();
  EXPECT_EQ(recv(client.get(), buffer, 1, 0), 0);  // its FIN
  client.reset();
  expectNothingLeft();
  const auto after = stats();
  EXPECT_EQ(after.closed[SM_CLOSE_RESET_BY_PEER], 1u);
  EXPECT_EQ(after.sent_bytes, 5u);
}

TEST_F(Records, TheSideThatClosesFirstCountsTheSameBytes) {
  auto client = std::move(connectTo(at(kVip))).value();
  const auto server = acceptOn(listener_);
  ASSERT_EQ(send(client.get(), "hello", 5, 0), 5);
  client.reset();  // first: FIN_WAIT, not LAST_ACK
  char buffer[8];
  EXPECT_EQ(recv(server.get(), buffer, 5, MSG_WAITALL), 5);
  EXPECT_EQ(recv(server.get(), buffer, 1, 0), 0);
  ::shutdown(server.get(), SHUT_RDWR);
  expectNothingLeft();
  EXPECT_EQ(stats().sent_bytes, 5u);
  EXPECT_EQ(stats().received_bytes, 0u);
  EXPECT_EQ(stats().closed[SM_CLOSE_CLEAN], 1u);
}

TEST_F(Records, ResetsAreToldApart) {
  {
    auto client = std::move(connectTo(at(kVip))).value();
    auto server = acceptOn(listener_);
    const linger now{1, 0};
    setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    server.reset();  // RST from the peer
    pollfd waiting{client.get(), POLLIN, 0};
    poll(&waiting, 1, 2000);
  }
  {
    auto client = std::move(connectTo(at(kVip))).value();
    const auto server = acceptOn(listener_);
    const linger now{1, 0};
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    client.reset();  // RST from us
  }
  expectNothingLeft();
  EXPECT_EQ(stats().closed[SM_CLOSE_RESET_BY_PEER], 1u);
  EXPECT_EQ(stats().closed[SM_CLOSE_RESET_BY_US], 1u);
}

TEST_F(Records, ARefusedConnectIsTheEndpointsFailure) {
  listener_.reset();
  const auto client = connectTo(at(kVip));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().errnum(), ECONNREFUSED);
  expectNothingLeft();
  EXPECT_EQ(stats().failed[SM_FAILURE_REFUSED], 1u);
  EXPECT_EQ(stats().established, 0u);
}

// A backlog that is full drops SYNs: the connect hangs.
class BlackHole : public Records {
 protected:
  int backlog() const override { return 0; }
  void SetUp() override {
    Records::SetUp();
    for (int i = 0; i < 3; ++i) {
      fill_.push_back(tcpSocket(false, true));
      connectErrno(fill_.back().get(), backend_);  // direct: not ours
    }
  }
  std::vector<UniqueFd> fill_;
};

TEST_F(BlackHole, GivingUpWhileConnectingIsNobodysFailure) {
  {
    const UniqueFd client = tcpSocket(false, true);
    EXPECT_EQ(connectErrno(client.get(), at(kVip)), EINPROGRESS);
    EXPECT_EQ(active(), 1u);
  }
  expectNothingLeft();
  const auto after = stats();
  EXPECT_EQ(after.failed[SM_FAILURE_ABANDONED], 1u);
  EXPECT_EQ(after.failed[SM_FAILURE_TIMED_OUT], 0u);
}

TEST_F(BlackHole, ATimeOutIsTheEndpointsFailure) {
  const UniqueFd client = tcpSocket();
  const int millis = 100;  // TCP_USER_TIMEOUT: the kernel gives up after the first retry
  setsockopt(client.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &millis, sizeof(millis));
  EXPECT_EQ(connectErrno(client.get(), at(kVip)), ETIMEDOUT);
  expectNothingLeft();
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 1u);
}

// TCP's own measure would be the round trip of the second SYN alone.
TEST_F(BlackHole, AHandshakeThatNeededASecondSynTookSinceTheFirstOne) {
  const UniqueFd client = tcpSocket(false, true);
  EXPECT_EQ(connectErrno(client.get(), at(kVip)), EINPROGRESS);
  fill_.resize(1);
  const UniqueFd first = acceptOn(listener_);  // makes room
  pollfd established{client.get(), POLLOUT, 0};
  ASSERT_EQ(poll(&established, 1, 20000), 1);
  const auto after = stats();
  EXPECT_EQ(after.established, 1u);
  // The first retransmission is after a second.
  EXPECT_EQ(after.connect_us[SM_HISTOGRAM_BUCKETS - 2] + after.connect_us[SM_HISTOGRAM_BUCKETS - 1],
            1u);
}

TEST_F(BlackHole, DisconnectingWhileConnectingFreesTheRecord) {
  const UniqueFd client = tcpSocket(false, true);
  EXPECT_EQ(connectErrno(client.get(), at(kVip)), EINPROGRESS);
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  ASSERT_EQ(connect(client.get(), &unspecified, sizeof(unspecified)), 0);
  expectNothingLeft();
  EXPECT_EQ(stats().failed[SM_FAILURE_ABANDONED], 1u);
}

TEST_F(BlackHole, AKilledProcessLeavesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    const UniqueFd fd = tcpSocket(false, true);
    connectErrno(fd.get(), at(kVip));
    pause();
    _exit(0);
  }
  EXPECT_TRUE(eventually([&] { return active() == 1; }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  expectNothingLeft();
  EXPECT_EQ(stats().failed[SM_FAILURE_ABANDONED], 1u);
  EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 0u);
}

// connect() that never reaches TCP: sock_ops hears nothing of it.
class Unroutable : public RecordsTest {
 protected:
  void SetUp() override {
    RecordsTest::SetUp();
    apply(TableBuilder()
              .service("10.96.0.1:80", "nowhere", {"203.0.113.1:80"})  // no route here
              .service("10.96.0.2:80", "here", {backend_.toString()}));
  }
  sm_endpoint_stats nowhere() { return statsOf("nowhere", "203.0.113.1:80"); }
  std::uint32_t active() override {
    return activeOf("nowhere", "203.0.113.1:80") + activeOf("here", backend_.toString());
  }
};

TEST_F(Unroutable, NoRouteIsALocalFailure) {
  {
    const UniqueFd client = tcpSocket();
    EXPECT_EQ(connectErrno(client.get(), at("10.96.0.1:80")), ENETUNREACH);
    EXPECT_EQ(records(), 1u) << "until the socket is released";
  }
  expectNothingLeft();
  EXPECT_EQ(nowhere().failed[SM_FAILURE_LOCAL], 1u);
  EXPECT_EQ(nowhere().failed[SM_FAILURE_UNREACHABLE], 0u);
}

TEST_F(Unroutable, ASecondConnectOnOneSocketReplacesTheRecord) {
  UniqueFd client = tcpSocket();
  EXPECT_EQ(connectErrno(client.get(), at("10.96.0.1:80")), ENETUNREACH);
  EXPECT_EQ(connectErrno(client.get(), at("10.96.0.2:80")), 0);
  EXPECT_EQ(records(), 1u);
  EXPECT_EQ(activeOf("nowhere", "203.0.113.1:80"), 0u);
  EXPECT_EQ(activeOf("here", backend_.toString()), 1u);
  EXPECT_EQ(peerOf(client.get()), at("10.96.0.2:80"));
  client.reset();
  expectNothingLeft();
  EXPECT_EQ(nowhere().failed[SM_FAILURE_LOCAL], 1u);
  EXPECT_EQ(statsOf("here", backend_.toString()).established, 1u);
}

TEST_F(Unroutable, ASecondConnectPastUsEndsTheRecordToo) {
  UniqueFd client = tcpSocket();
  EXPECT_EQ(connectErrno(client.get(), at("10.96.0.1:80")), ENETUNREACH);
  EXPECT_EQ(connectErrno(client.get(), backend_), 0);  // no service
  EXPECT_EQ(peerOf(client.get()), backend_);
  expectNothingLeft();
  EXPECT_EQ(nowhere().failed[SM_FAILURE_LOCAL], 1u);
  EXPECT_EQ(statsOf("here", backend_.toString()).established, 0u);
}

TEST_F(Unroutable, NoPortLeftIsALocalFailure) {
  UniqueFd first = tcpSocket();
  UniqueFd second = tcpSocket();
  shareOnePort(first, second, at("10.96.0.2:80"));
  EXPECT_EQ(connectErrno(second.get(), at("10.96.0.2:80")), EADDRNOTAVAIL);
  second.reset();
  first.reset();
  expectNothingLeft();
  EXPECT_EQ(statsOf("here", backend_.toString()).failed[SM_FAILURE_LOCAL], 1u);
  EXPECT_EQ(statsOf("here", backend_.toString()).established, 1u);
}

TEST_F(Records, DisconnectedAndReconnectedTheSocketFollows) {
  SocketAddress other = at("127.0.0.3:0");
  const auto otherListener = std::move(listenOn(other)).value();
  UniqueFd client = tcpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  ASSERT_EQ(connect(client.get(), &unspecified, sizeof(unspecified)), 0);
  EXPECT_EQ(records(), 0u);
  ASSERT_EQ(connectErrno(client.get(), other), 0);
  EXPECT_EQ(peerOf(client.get()), other) << "not the VIP of a connection that is over";
  client.reset();
  expectNothingLeft();
}

TEST_F(Records, ForkedAndPassedDescriptorsKeepOneRecord) {
  UniqueFd client = std::move(connectTo(at(kVip))).value();
  const auto server = acceptOn(listener_);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    recv(client.get(), &byte, 1, 0);  // until told
    _exit(0);
  }
  const int copy = dup(client.get());
  client.reset();
  close(copy);
  EXPECT_EQ(records(), 1u) << "the child still has it";
  EXPECT_EQ(active(), 1u);
  ASSERT_EQ(send(server.get(), "x", 1, 0), 1);
  waitpid(child, nullptr, 0);
  ::shutdown(server.get(), SHUT_RDWR);
  expectNothingLeft();
  EXPECT_EQ(stats().established, 1u);
}

// Sets of four: connections that live long fill them unevenly, and a record that does not fit uses
// a hash.
class SmallTable : public Records {
 protected:
  DatapathOptions options() const override {
    auto out = DatapathTest::options();
    out.maxConnections = 64;
    return out;
  }
};

TEST_F(SmallTable, OverflowIsCountedAndNothingIsLost) {
  std::vector<UniqueFd> survivors;
  std::vector<UniqueFd> servers;
  for (int i = 0; i < 300; ++i) {
    auto client = connectTo(at(kVip));
    ASSERT_TRUE(client) << client.error().message();
    survivors.push_back(std::move(client).value());
    servers.push_back(acceptOn(listener_));
  }
  EXPECT_EQ(active(), 300u);
  EXPECT_LE(records(), 64u);
  const auto overflow = readCounter(datapath_->maps(), SM_COUNTER_CONN_OVERFLOW).value();
  EXPECT_EQ(overflow + records(), 300u);
  EXPECT_EQ(readCounter(datapath_->maps(), SM_COUNTER_CONN_LOST).value(), 0u);
  for (const auto& client : survivors) EXPECT_EQ(peerOf(client.get()), at(kVip));
  // Churn beside the survivors.
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(connectTo(at(kVip)));
    servers.push_back(acceptOn(listener_));
  }
  EXPECT_TRUE(eventually([&] {
    servers.resize(300);
    return active() == 300;
  })) << active();
  survivors.clear();
  servers.clear();
  expectNothingLeft();
  for (std::uint32_t i = 0; i < datapath_->maps().connections.size(); ++i) {
    EXPECT_EQ(datapath_->maps().connections[i].other_ways, 0u) << "a way that nobody has";
  }
  EXPECT_EQ(stats().selected, 800u);
  EXPECT_EQ(stats().established, 800u);
}

}  // namespace
}  // namespace sockmesh::test
