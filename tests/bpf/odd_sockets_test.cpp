// SPDX-License-Identifier: Apache-2.0
// Sockets that applications prepare in unusual ways before they connect. docs/sockets.md lists them
// all, also those that are tested elsewhere.
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "support/datapath_test.h"
#include "support/pod.h"
#include "support/process.h"

namespace sockmesh::test {
namespace {

constexpr const char* kVip = "10.96.0.1:80";
constexpr const char* kVip6 = "[fd00::1]:80";

class OddSockets : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_)).value();
    apply(TableBuilder().service(kVip, "a", {backend_.toString()}));
  }
  // Connects to the VIP, and expects to arrive at the endpoint; the other end of the connection.
  UniqueFd expectBalanced(const UniqueFd& client, bool mapped = false) {
    EXPECT_EQ(connectErrno(client.get(), at(kVip), mapped), 0);
    EXPECT_EQ(peerOf(client.get()), at(kVip));
    UniqueFd accepted = acceptOn(listener_);
    EXPECT_EQ(localOf(accepted.get()), backend_);
    return accepted;
  }

  SocketAddress backend_;
  UniqueFd listener_;
};

template <typename T>
int option(const UniqueFd& fd, int level, int name, const T& value) {
  return setsockopt(fd.get(), level, name, &value, sizeof(value)) == 0 ? 0 : errno;
}

int awaitConnect(const UniqueFd& client) {
  pollfd waits{.fd = client.get(), .events = POLLOUT, .revents = 0};
  if (poll(&waits, 1, 10'000) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

TEST_F(OddSockets, NonBlockingWithPoll) {
  const UniqueFd client = tcpSocket(false, true);
  const int error = connectErrno(client.get(), at(kVip));
  EXPECT_TRUE(error == EINPROGRESS || error == 0) << error;
  EXPECT_EQ(awaitConnect(client), 0);
  EXPECT_EQ(connectErrno(client.get(), at(kVip)) == EISCONN, error == 0);  // it says so once
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  EXPECT_EQ(acceptedAt(listener_), backend_);
  EXPECT_EQ(statsOf("a", backend_.toString()).established, 1u);
}

TEST_F(OddSockets, NonBlockingAndRefused) {
  SocketAddress closed = at("127.0.0.3:0");
  ASSERT_TRUE(listenOn(closed));
  apply(TableBuilder().service(kVip, "a", {closed.toString()}));
  const UniqueFd client = tcpSocket(false, true);
  if (const int error = connectErrno(client.get(), at(kVip)); error == EINPROGRESS) {
    EXPECT_EQ(awaitConnect(client), ECONNREFUSED);
  } else {
    EXPECT_EQ(error, ECONNREFUSED);
  }
  EXPECT_EQ(statsOf("a", closed.toString()).failed[SM_FAILURE_REFUSED], 1u);
}

TEST_F(OddSockets, BoundToAnAddressAndAPort) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(bindErrno(client.get(), at("127.0.0.7:0")), 0);
  const SocketAddress bound = localOf(client.get());
  EXPECT_EQ(peerOf(expectBalanced(client).get()), bound);
}

TEST_F(OddSockets, BoundToAnAddressWithoutAPort) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(option(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1), 0);
  ASSERT_EQ(bindErrno(client.get(), at("127.0.0.7:0")), 0);
  EXPECT_EQ(peerOf(expectBalanced(client).get()).ip, at("127.0.0.7:0").ip);
}

TEST_F(OddSockets, BoundToADevice) {
  const UniqueFd client = tcpSocket();
  const std::string device = "lo";
  ASSERT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                       static_cast<socklen_t>(device.size() + 1)),
            0);
  expectBalanced(client);
}

// A VRF is a device that has a routing table of its own.
TEST_F(OddSockets, BoundToAVrf) {
  if (run({"ip", "link", "add", "smvrf", "type", "vrf", "table", "4711"}).code != 0) {
    GTEST_SKIP() << "this kernel has no VRF";
  }
  struct Removed {
    ~Removed() { run({"ip", "link", "delete", "smvrf"}); }
  } const removed;
  ASSERT_EQ(run({"ip", "link", "set", "smvrf", "up"}).code, 0);
  ASSERT_EQ(run({"ip", "address", "add", "10.97.0.1/32", "dev", "smvrf"}).code, 0);
  const std::string device = "smvrf";
  const auto bindTo = [&](const UniqueFd& fd) {
    return setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                      static_cast<socklen_t>(device.size() + 1));
  };
  UniqueFd listener = tcpSocket();
  ASSERT_EQ(bindTo(listener), 0);
  ASSERT_EQ(bindErrno(listener.get(), at("10.97.0.1:0")), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  const SocketAddress inside = localOf(listener.get());
  apply(TableBuilder().service(kVip, "a", {inside.toString()}));
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(bindTo(client), 0);
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  EXPECT_EQ(acceptedAt(listener), inside);
}

TEST_F(OddSockets, WithAMark) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(option(client, SOL_SOCKET, SO_MARK, 4711), 0);
  expectBalanced(client);
  int mark = 0;
  socklen_t length = sizeof(mark);
  ASSERT_EQ(getsockopt(client.get(), SOL_SOCKET, SO_MARK, &mark, &length), 0);
  EXPECT_EQ(mark, 4711);
}

// A proxy that speaks with its client's address.
TEST_F(OddSockets, TransparentWithAForeignAddress) {
  ASSERT_EQ(run({"ip", "route", "replace", "local", "10.97.1.0/24", "dev", "lo"}).code, 0);
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(option(client, IPPROTO_IP, IP_TRANSPARENT, 1), 0);
  ASSERT_EQ(bindErrno(client.get(), at("10.97.1.9:0")), 0);
  EXPECT_EQ(peerOf(expectBalanced(client).get()).ip, at("10.97.1.9:0").ip);
}

// One submission of one connect, without a library.
int ringConnect(int fd, const SocketAddress& to) {
  io_uring_params params{};
  const UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 2, &params)));
  if (!ring.valid()) return -1;
  const auto map = [&](std::size_t size, off_t offset) {
    return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.get(), offset);
  };
  const std::size_t sqSize = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  const std::size_t cqSize = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  const std::size_t entriesSize = params.sq_entries * sizeof(io_uring_sqe);
  auto* sq = static_cast<char*>(map(sqSize, IORING_OFF_SQ_RING));
  auto* cq = static_cast<char*>(map(cqSize, IORING_OFF_CQ_RING));
  auto* entries = static_cast<io_uring_sqe*>(map(entriesSize, IORING_OFF_SQES));

  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(to.port);
  std::memcpy(&name.sin_addr, to.ip.bytes().data() + 12, 4);
  entries[0] = {};
  entries[0].opcode = IORING_OP_CONNECT;
  entries[0].fd = fd;
  entries[0].addr = reinterpret_cast<std::uintptr_t>(&name);
  entries[0].off = sizeof(name);
  reinterpret_cast<unsigned*>(sq + params.sq_off.array)[0] = 0;
  __atomic_store_n(reinterpret_cast<unsigned*>(sq + params.sq_off.tail), 1U, __ATOMIC_RELEASE);
  const long done =
      syscall(SYS_io_uring_enter, ring.get(), 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
  const int result = reinterpret_cast<io_uring_cqe*>(cq + params.cq_off.cqes)[0].res;
  munmap(sq, sqSize);
  munmap(cq, cqSize);
  munmap(entries, entriesSize);
  return done == 1 ? -result : EIO;
}

TEST_F(OddSockets, ConnectedByIoUring) {
  const UniqueFd client = tcpSocket();
  const int error = ringConnect(client.get(), at(kVip));
  if (error < 0) GTEST_SKIP() << "no io_uring here";
  ASSERT_EQ(error, 0);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  EXPECT_EQ(acceptedAt(listener_), backend_);
}

// The socket has the namespace in which it was made, whoever uses it.
TEST_F(OddSockets, MadeInAnotherNetworkNamespace) {
  auto pod = std::move(Pod::create(61)).value();
  SocketAddress host = at("10.98.61.1:0");
  const auto listener = std::move(listenOn(host)).value();
  apply(TableBuilder().service(kVip, "a", {host.toString()}));
  const UniqueFd client = pod->socketInside(AF_INET, SOCK_STREAM);
  ASSERT_TRUE(client.valid());
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  const UniqueFd accepted = acceptOn(listener);
  EXPECT_EQ(localOf(accepted.get()), host);
  EXPECT_EQ(peerOf(accepted.get()).ip, at("10.98.61.2:0").ip);
}

// A socket belongs to the cgroup in which it was made. On a node all cgroups are below the one that
// the programs are attached to.
TEST_F(OddSockets, MadeInACgroupWithoutThePrograms) {
  SocketAddress direct = at("127.0.0.9:0");
  const auto real = std::move(listenOn(direct)).value();
  apply(TableBuilder().service(direct.toString(), "a", {backend_.toString()}));
  ASSERT_TRUE(sandbox_->leave());
  const UniqueFd outside = tcpSocket();
  ASSERT_TRUE(sandbox_->enter());
  ASSERT_EQ(connectErrno(outside.get(), direct), 0);
  EXPECT_EQ(acceptedAt(real), direct);
  const UniqueFd inside = tcpSocket();
  ASSERT_EQ(connectErrno(inside.get(), direct), 0);
  EXPECT_EQ(acceptedAt(listener_), backend_);
}

class MadeBefore : public OddSockets {
 protected:
  void SetUp() override {
    auto sandbox = Sandbox::create();
    ASSERT_TRUE(sandbox) << sandbox.error().message();
    sandbox_ = std::move(sandbox).value();
    before_ = tcpSocket();
    beforeUdp_ = udpSocket();
    open();
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_)).value();
    apply(TableBuilder().service(kVip, "a", {backend_.toString()}));
  }
  UniqueFd before_;
  UniqueFd beforeUdp_;
};

TEST_F(MadeBefore, ASocketThatIsOlderThanTheProgramsIsBalanced) {
  expectBalanced(before_);
}

TEST_F(MadeBefore, AUdpSocketThatIsOlderThanTheProgramsIsBalanced) {
  SocketAddress server = at("127.0.0.3:0");
  const auto fd = std::move(udpServer(server)).value();
  apply(TableBuilder().service("10.96.0.2:53", "u", {server.toString()}).udp("10.96.0.2:53"));
  ASSERT_EQ(sendErrno(beforeUdp_.get(), "x", at("10.96.0.2:53")), 0);
  EXPECT_EQ(receive(fd.get()).text, "x");
}

// The application tries both VIPs of a dual-stack service, and takes the one that answers first.
TEST_F(OddSockets, BothVipsOfADualStackServiceAtOnce) {
  apply(TableBuilder()
            .service(kVip, "a", {backend_.toString()})
            .service(kVip6, "b", {backend_.toString()}));
  const UniqueFd six = tcpSocket(true, true);
  const UniqueFd four = tcpSocket(false, true);
  for (const UniqueFd* client : {&six, &four}) {
    const SocketAddress vip = client == &six ? at(kVip6) : at(kVip);
    const int error = connectErrno(client->get(), vip);
    EXPECT_TRUE(error == EINPROGRESS || error == 0) << error;
  }
  EXPECT_EQ(awaitConnect(six), 0);
  EXPECT_EQ(awaitConnect(four), 0);
  EXPECT_EQ(peerOf(six.get()), at(kVip6));
  EXPECT_EQ(peerOf(four.get()), at(kVip));
  EXPECT_EQ(acceptedAt(listener_), backend_);
  EXPECT_EQ(acceptedAt(listener_), backend_);
}

// The endpoint is the very pod that connects.
TEST_F(OddSockets, AnEndpointThatConnectsToItsOwnService) {
  const UniqueFd client = tcpSocket();
  ASSERT_EQ(bindErrno(client.get(), SocketAddress{backend_.ip, 0}), 0);
  EXPECT_EQ(peerOf(expectBalanced(client).get()).ip, backend_.ip);
}

// Headless services and ExternalName lead the application to other addresses, and node ports are
// addresses of the node: none of them is a VIP.
TEST_F(OddSockets, OtherPortsOfTheVipAndAddressesOfTheNodeAreUntouched) {
  SocketAddress node = at("127.0.0.9:0");
  const auto listener = std::move(listenOn(node)).value();
  ASSERT_TRUE(connectTo(node));
  EXPECT_EQ(acceptedAt(listener), node);
  const auto headless = connectTo(backend_);
  ASSERT_TRUE(headless);
  EXPECT_EQ(peerOf(headless->get()), backend_);
  EXPECT_EQ(acceptedAt(listener_), backend_);
  EXPECT_EQ(records(), 0u);
}

// One source port, one endpoint: two VIPs are one connection for the network.
TEST_F(OddSockets, TwoVipsOfOneEndpointFromOneSourcePort) {
  apply(TableBuilder()
            .service(kVip, "a", {backend_.toString()})
            .service("10.96.0.2:80", "b", {backend_.toString()}));
  const auto bound = [&](std::uint16_t port) {
    UniqueFd client = tcpSocket();
    EXPECT_EQ(option(client, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    EXPECT_EQ(bindErrno(client.get(), {at("127.0.0.7:0").ip, port}), 0);
    return client;
  };
  const UniqueFd one = bound(0);
  const UniqueFd two = bound(localOf(one.get()).port);
  ASSERT_EQ(connectErrno(one.get(), at(kVip)), 0);
  EXPECT_EQ(connectErrno(two.get(), at("10.96.0.2:80")), EADDRNOTAVAIL);
  EXPECT_EQ(peerOf(one.get()), at(kVip));
}

}  // namespace
}  // namespace sockmesh::test
