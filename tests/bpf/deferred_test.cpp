// SPDX-License-Identifier: Apache-2.0
// TCP Fast Open: connect() returns before its SYN leaves, which goes with the first data. The
// endpoint's time starts with the SYN.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <fstream>
#include <thread>

#include "inspect/connection_records.h"
#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"

namespace sockmesh::test {
namespace {

using std::chrono::milliseconds;

const char* const kVip = "10.96.0.1:80";
constexpr milliseconds kConnectTimeout{2000};

class Deferred : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    setFastOpen(0x5);  // as a client, and without a cookie, so that each SYN is deferred
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_, 0)).value();
    apply(TableBuilder()
              .service(kVip, "a", {backend_.toString()})
              .ejecting("a", 1, 1, std::chrono::seconds(30), kConnectTimeout));
  }
  void TearDown() override {
    setFastOpen(0x1);  // the kernel's default
    DatapathTest::TearDown();
  }
  static void setFastOpen(int value) {
    std::ofstream file("/proc/sys/net/ipv4/tcp_fastopen");
    file << value << std::flush;
    ASSERT_TRUE(file);
  }
  // A socket whose connect() returned at once, before any SYN left.
  UniqueFd deferred() {
    UniqueFd client = tcpSocket();
    const int one = 1;
    EXPECT_EQ(setsockopt(client.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)), 0);
    EXPECT_EQ(connectErrno(client.get(), at(kVip)), 0);
    return client;
  }
  sm_endpoint_stats stats() { return statsOf("a", backend_.toString()); }
  std::uint8_t state() {
    for (const auto& record : readConnections(datapath_->maps())) return record.connection.state;
    return SM_CONN_FREE;
  }
  // SYNs are dropped from now on, until the queue is drained.
  void fillQueue() {
    for (int i = 0; i < 3; ++i) {
      fill_.push_back(tcpSocket(false, true));
      connectErrno(fill_.back().get(), backend_);
    }
  }
  void drainQueue() {
    fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    fill_.clear();
    while (UniqueFd(accept4(listener_.get(), nullptr, nullptr, 0)).valid()) {
    }
  }
  void expectServedInTime() {
    EXPECT_EQ(stats().established, 1u);
    EXPECT_EQ(stats().failed[SM_FAILURE_TIMED_OUT], 0u);
    const auto line = readEndpointState(datapath_->maps(), idOf("a", backend_.toString()));
    ASSERT_TRUE(line);
    EXPECT_FALSE(line->ejected);
  }

  SocketAddress backend_;
  UniqueFd listener_;
  std::vector<UniqueFd> fill_;
};

TEST_F(Deferred, TheClockStartsWhenTheSynLeaves) {
  const UniqueFd client = deferred();
  EXPECT_EQ(state(), SM_CONN_PENDING);
  // The time that the application takes is what this test is about.
  std::this_thread::sleep_for(kConnectTimeout + milliseconds(100));
  ASSERT_EQ(send(client.get(), "hello", 5, 0), 5);
  const UniqueFd server = acceptOn(listener_);
  ASSERT_TRUE(eventually([&] { return state() == SM_CONN_ESTABLISHED; }));
  expectServedInTime();
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  EXPECT_EQ(stats().connect_us[SM_HISTOGRAM_BUCKETS - 1], 0u) << "more than a second";
}

TEST_F(Deferred, ASynThatIsLostOnceIsNoTimeOut) {
  fillQueue();
  const UniqueFd client = deferred();
  std::this_thread::sleep_for(kConnectTimeout + milliseconds(100));
  send(client.get(), "hello", 5, MSG_DONTWAIT);  // would wait for the handshake
  EXPECT_EQ(state(), SM_CONN_CONNECTING);
  drainQueue();
  ASSERT_TRUE(eventually([&] { return state() == SM_CONN_ESTABLISHED; }));  // with the next SYN
  expectServedInTime();
}

TEST_F(Deferred, OneThatNeverSendsIsNobodysFailure) {
  deferred();
  EXPECT_TRUE(
      eventually([&] { return records() == 0 && activeOf("a", backend_.toString()) == 0; }));
  EXPECT_EQ(stats().failed[SM_FAILURE_LOCAL], 1u);
}

TEST_F(Deferred, TheSweepLeavesThoseAloneThatWait) {
  const UniqueFd client = deferred();
  EXPECT_EQ(sweep().gone, 0u);
  EXPECT_EQ(sweep().ended, 0u);
  EXPECT_EQ(state(), SM_CONN_PENDING);
}

TEST_F(Deferred, DataWithTheConnect) {
  const UniqueFd client = tcpSocket();
  const SocketAddress vip = at(kVip);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(vip.port);
  to.sin_addr.s_addr = htonl(0x0a600001);
  ASSERT_EQ(
      sendto(client.get(), "hello", 5, MSG_FASTOPEN, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
      5);
  const UniqueFd server = acceptOn(listener_);
  char got[5];
  EXPECT_EQ(recv(server.get(), got, 5, MSG_WAITALL), 5);
  ASSERT_TRUE(eventually([&] { return state() == SM_CONN_ESTABLISHED; }));
  expectServedInTime();
  EXPECT_EQ(peerOf(client.get()), vip);
}

}  // namespace
}  // namespace sockmesh::test
