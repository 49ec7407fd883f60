// SPDX-License-Identifier: Apache-2.0
// What a UDP socket meets: connected, and with an address in each send.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "support/datapath_test.h"
#include "support/eventually.h"

namespace sockmesh::test {
namespace {

constexpr const char* kVip = "10.96.0.1:53";
constexpr const char* kVip6 = "[fd00::1]:53";

class Udp : public DatapathTest {
 protected:
  // One exchange over `client`, which sent to a VIP: the server answers to whom it received from.
  // What the client receives.
  static Datagram answer(const UniqueFd& client, const UniqueFd& server) {
    const Datagram request = receive(server.get());
    EXPECT_EQ(request.error, 0) << "nothing came to the endpoint";
    EXPECT_EQ(sendErrno(server.get(), "re: " + request.text, request.from), 0);
    return receive(client.get());
  }
  // Which of the two has a datagram to read, and the other one.
  struct Reached {
    const UniqueFd& server;
    const UniqueFd& other;
  };
  static Reached reached(const UniqueFd& a, const UniqueFd& b) {
    std::array<pollfd, 2> waits = {{{.fd = a.get(), .events = POLLIN, .revents = 0},
                                    {.fd = b.get(), .events = POLLIN, .revents = 0}}};
    EXPECT_EQ(poll(waits.data(), waits.size(), 10'000), 1);
    return waits[0].revents != 0 ? Reached{a, b} : Reached{b, a};
  }
  // A port of loopback on which nobody listens.
  static SocketAddress closedPort() {
    SocketAddress address = at("127.0.0.4:0");
    EXPECT_TRUE(udpServer(address));  // and closed again
    return address;
  }
  std::uint64_t counter(sm_counter which) { return readCounter(datapath_->maps(), which).value(); }
  std::uint64_t flows() { return datapath_->maps().flows.count(); }
};

TEST_F(Udp, AConnectedSocketGoesToTheEndpointAndShowsTheVip) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));

  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  ASSERT_EQ(send(client.get(), "who", 3, 0), 3);
  const Datagram got = answer(client, server);
  EXPECT_EQ(got.text, "re: who");
  EXPECT_EQ(got.from, at(kVip));
  EXPECT_EQ(statsOf("dns", backend.toString()).selected, 1u);
  EXPECT_EQ(activeOf("dns", backend.toString()), 1u);
}

TEST_F(Udp, AConnectedSocketsRecordEndsWithTheSocket) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    EXPECT_EQ(records(), 1u);
    const UniqueFd passed(dup(client.get()));
    EXPECT_EQ(peerOf(passed.get()), at(kVip));
  }
  EXPECT_EQ(records(), 0u);
  EXPECT_EQ(activeOf("dns", backend.toString()), 0u);
}

TEST_F(Udp, SendtoAVipReachesTheEndpointAndTheAnswerShowsTheVip) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));

  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "who", at(kVip)), 0);
  const Datagram got = answer(client, server);
  EXPECT_EQ(got.text, "re: who");
  EXPECT_EQ(got.from, at(kVip));
  EXPECT_EQ(flows(), 1u);
}

TEST_F(Udp, Ipv6AndMappedAddressesBehaveAlike) {
  SocketAddress six = at("[::1]:0");
  SocketAddress four = at("127.0.0.3:0");
  const auto sixServer = std::move(udpServer(six)).value();
  const auto fourServer = std::move(udpServer(four)).value();
  apply(TableBuilder()
            .service(kVip6, "six", {six.toString()})
            .service(kVip, "four", {four.toString()})
            .udp(kVip6)
            .udp(kVip));
  for (const bool connected : {false, true}) {
    SCOPED_TRACE(connected ? "connected" : "unconnected");
    for (const bool mapped : {false, true}) {
      const SocketAddress vip = mapped ? at(kVip) : at(kVip6);
      const UniqueFd client = udpSocket(true);
      if (connected) {
        ASSERT_EQ(connectErrno(client.get(), vip, mapped), 0);
        EXPECT_EQ(peerOf(client.get()), vip);
        ASSERT_EQ(send(client.get(), "who", 3, 0), 3);
      } else {
        ASSERT_EQ(sendErrno(client.get(), "who", vip, mapped), 0);
      }
      const Datagram got = answer(client, mapped ? fourServer : sixServer);
      EXPECT_EQ(got.text, "re: who");
      EXPECT_EQ(got.from, vip);
    }
  }
}

// An IPv6 socket may name an AF_INET address.
TEST_F(Udp, AnIpv6SocketThatNamesAnIpv4Address) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));
  for (const bool connected : {false, true}) {
    SCOPED_TRACE(connected ? "connected" : "unconnected");
    const UniqueFd client = udpSocket(true);
    if (connected) {
      ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
      EXPECT_EQ(peerOf(client.get()), at(kVip));
      ASSERT_EQ(send(client.get(), "who", 3, 0), 3);
    } else {
      ASSERT_EQ(sendErrno(client.get(), "who", at(kVip)), 0);
    }
    EXPECT_EQ(answer(client, server).from, at(kVip));
  }
}

TEST_F(Udp, AFlowStaysOnItsEndpointAndOtherSocketsAreBalanced) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString(), b.toString()}).udp(kVip));
  const UniqueFd one = udpSocket();
  const UniqueFd two = udpSocket();
  ASSERT_EQ(sendErrno(one.get(), "one", at(kVip)), 0);
  const auto [ofOne, ofTwo] = reached(atA, atB);
  EXPECT_EQ(receive(ofOne.get()).text, "one");
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(sendErrno(two.get(), "two", at(kVip)), 0);
    EXPECT_EQ(receive(ofTwo.get()).text, "two");
    ASSERT_EQ(sendErrno(one.get(), "one", at(kVip)), 0);
    EXPECT_EQ(receive(ofOne.get()).text, "one");
  }
  EXPECT_EQ(flows(), 2u);
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_CREATED), 2u);
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_MOVED), 0u);
}

TEST_F(Udp, AFlowMovesWithTheNextSendOnceItsEndpointIsGone) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const Datagram first = receive(atA.get());
  ASSERT_EQ(first.text, "1");

  // Other tables with the same endpoint, at another place: the flow stays.
  apply(TableBuilder().service(kVip, "dns", {b.toString(), a.toString()}).udp(kVip));
  ASSERT_EQ(sendErrno(client.get(), "2", at(kVip)), 0);
  EXPECT_EQ(receive(atA.get()).text, "2");

  apply(TableBuilder().service(kVip, "dns", {b.toString()}).udp(kVip));
  ASSERT_EQ(sendErrno(client.get(), "3", at(kVip)), 0);
  EXPECT_EQ(answer(client, atB).from, at(kVip));
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_MOVED), 1u);
  EXPECT_EQ(flows(), 1u);

  // A late answer of the endpoint before.
  ASSERT_EQ(sendErrno(atA.get(), "late", first.from), 0);
  EXPECT_EQ(receive(client.get()).from, at(kVip));
}

TEST_F(Udp, AFlowMovesWhileItsEndpointIsEjected) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder()
            .service(kVip, "dns", {a.toString(), b.toString()})
            .udp(kVip)
            .ejecting("dns", 1, 1));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const auto [first, second] = reached(atA, atB);
  EXPECT_EQ(receive(first.get()).text, "1");
  const std::uint32_t id = idOf("dns", localOf(first.get()).toString());
  ASSERT_TRUE(datapath_->ejections().detect(id, Detector::kSuccessRate, 100));
  ASSERT_EQ(sendErrno(client.get(), "2", at(kVip)), 0);
  EXPECT_EQ(receive(second.get()).text, "2");
}

TEST_F(Udp, AnEmptyServiceRefusesAtOnce) {
  apply(TableBuilder().service(kVip, "none", {}).service(kVip6, "none6", {}).udp(kVip).udp(kVip6));
  for (const char* vip : {kVip, kVip6}) {
    const UniqueFd client = udpSocket(vip == kVip6);
    EXPECT_EQ(sendErrno(client.get(), "x", at(vip)), ECONNREFUSED) << vip;
    EXPECT_EQ(connectErrno(client.get(), at(vip)), ECONNREFUSED) << vip;
  }
  EXPECT_EQ(sumClusterStats(datapath_->maps(), ids_->clusterId("none")).refused_no_endpoints, 2u);
}

TEST_F(Udp, OtherAddressesAndTheSamePortOfTcpAreUntouched) {
  SocketAddress direct = at("127.0.0.9:0");
  const auto server = std::move(udpServer(direct)).value();
  SocketAddress backend = at("127.0.0.2:0");
  const auto listener = std::move(listenOn(backend)).value();
  apply(TableBuilder()
            .service(direct.toString(), "tcp", {backend.toString()})
            .service(kVip, "left", {})
            .udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "x", direct), 0);
  EXPECT_EQ(answer(client, server).from, direct);
  const UniqueFd connected = udpSocket();
  ASSERT_EQ(connectErrno(connected.get(), direct), 0);
  EXPECT_EQ(peerOf(connected.get()), direct);
  ASSERT_TRUE(connectTo(direct));
  EXPECT_EQ(acceptedAt(listener), backend);
  EXPECT_EQ(flows(), 0u);
}

// A lesson from other systems: the answer shows what the socket asked for, not what another did.
TEST_F(Udp, TwoVipsAndTheDirectAddressOfOneEndpointOnThreeSockets) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder()
            .service(kVip, "one", {backend.toString()})
            .service("10.96.0.2:53", "two", {backend.toString()})
            .udp(kVip)
            .udp("10.96.0.2:53"));
  for (const SocketAddress& to : {at(kVip), at("10.96.0.2:53"), backend}) {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(sendErrno(client.get(), "x", to), 0);
    EXPECT_EQ(answer(client, server).from, to);
  }
}

TEST_F(Udp, TwoVipsOfOneEndpointOnOneSocketShowTheOneThatWasSentToLast) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  const SocketAddress other = at("10.96.0.2:53");
  apply(TableBuilder()
            .service(kVip, "one", {backend.toString()})
            .service(other.toString(), "two", {backend.toString()})
            .udp(kVip)
            .udp(other.toString()));
  const UniqueFd client = udpSocket();
  for (const SocketAddress& to : {at(kVip), other, at(kVip), other, other, at(kVip)}) {
    ASSERT_EQ(sendErrno(client.get(), "x", to), 0);
    EXPECT_EQ(answer(client, server).from, to);
  }
}

// A connected socket takes datagrams of its peer alone, so the VIP that it is connected to is its
// peer, also where another endpoint would be chosen.
TEST_F(Udp, AConnectedSocketThatNamesItsVipStaysWithItsPeer) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString(), b.toString()}).udp(kVip));
  for (const bool mapped : {false, true}) {
    const UniqueFd client = udpSocket(mapped);
    ASSERT_EQ(connectErrno(client.get(), at(kVip), mapped), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    const UniqueFd& server = reached(atA, atB).server;
    EXPECT_EQ(answer(client, server).from, at(kVip));
    for (int i = 0; i < 4; ++i) {
      ASSERT_EQ(sendErrno(client.get(), "x", at(kVip), mapped), 0);
      EXPECT_EQ(answer(client, server).from, at(kVip));
    }
  }
  EXPECT_EQ(flows(), 0u);
}

// The VIP is the address of one of its endpoints. What the kernel names itself is no VIP again.
TEST_F(Udp, AVipThatIsAnEndpointsOwnAddress) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(
      TableBuilder().service(a.toString(), "dns", {b.toString(), a.toString()}).udp(a.toString()));
  for (const bool mapped : {false, true}) {
    SCOPED_TRACE(mapped ? "mapped" : "IPv4");
    for (int sockets = 0; sockets < 2; ++sockets) {
      const UniqueFd client = udpSocket(mapped);
      ASSERT_EQ(connectErrno(client.get(), a, mapped), 0);
      ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
      const UniqueFd& server = reached(atA, atB).server;
      EXPECT_EQ(answer(client, server).from, a);
      for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
        EXPECT_EQ(answer(client, server).from, a);
      }
    }
  }
}

TEST_F(Udp, ASecondConnectGoesElsewhereAndADirectOneShowsTheRealPeer) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  const SocketAddress other = at("10.96.0.2:53");
  apply(TableBuilder()
            .service(kVip, "one", {a.toString()})
            .service(other.toString(), "two", {b.toString()})
            .udp(kVip)
            .udp(other.toString()));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  ASSERT_EQ(connectErrno(client.get(), other), 0);
  EXPECT_EQ(peerOf(client.get()), other);
  EXPECT_EQ(activeOf("one", a.toString()), 0u);
  EXPECT_EQ(activeOf("two", b.toString()), 1u);
  ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  EXPECT_EQ(answer(client, atB).from, other);
  ASSERT_EQ(connectErrno(client.get(), b), 0);
  EXPECT_EQ(peerOf(client.get()), b);
  EXPECT_EQ(records(), 0u);
}

TEST_F(Udp, ADissolvedConnectionLeavesNothingBehind) {
  SocketAddress a = at("127.0.0.2:0");
  const auto atA = std::move(udpServer(a)).value();
  apply(TableBuilder().service(kVip, "one", {a.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
  ASSERT_EQ(connect(client.get(), &none, sizeof(none)), 0);
  // The same address without the VIP: what comes from there shows itself.
  ASSERT_EQ(sendErrno(client.get(), "x", a), 0);
  EXPECT_EQ(answer(client, atA).from, a);
}

// The kernel sends from there to no IPv4 address. The compiler gives such a service a version for
// sockets that reach IPv6 alone.
TEST_F(Udp, AnIpv6VipWithIpv4Endpoints) {
  SocketAddress four = at("127.0.0.3:0");
  const auto server = std::move(udpServer(four)).value();
  apply(TableBuilder()
            .service(kVip6, "four", {four.toString()})
            .unreachableOverIpv6(kVip6)
            .udp(kVip6));
  const UniqueFd unconnected = udpSocket(true);
  EXPECT_EQ(sendErrno(unconnected.get(), "x", at(kVip6)), EAFNOSUPPORT);
  const UniqueFd connected = udpSocket(true);
  ASSERT_EQ(connectErrno(connected.get(), at(kVip6)), 0);
  EXPECT_EQ(peerOf(connected.get()), at(kVip6));
  ASSERT_EQ(send(connected.get(), "x", 1, 0), 1);
  EXPECT_EQ(answer(connected, server).from, at(kVip6));
}

// ---- what the application does with one call ----

TEST_F(Udp, SendmmsgTakesEachAddressByItself) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  const SocketAddress other = at("10.96.0.2:53");
  apply(TableBuilder()
            .service(kVip, "one", {a.toString()})
            .service(other.toString(), "two", {b.toString()})
            .udp(kVip)
            .udp(other.toString()));
  const UniqueFd client = udpSocket();
  EXPECT_EQ(sendAll(client.get(), {{at(kVip), "one"}, {other, "two"}, {at(kVip), "three"}}), 3);
  EXPECT_EQ(receive(atA.get()).text, "one");
  EXPECT_EQ(receive(atA.get()).text, "three");
  EXPECT_EQ(receive(atB.get()).text, "two");
}

TEST_F(Udp, PacketInformationChoosesTheSourceAndStaysWhatItIs) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(bindErrno(client.get(), at("0.0.0.0:0")), 0);
  ASSERT_EQ(sendFrom(client.get(), "x", at("127.0.0.7:0").ip, at(kVip)), 0);
  const Datagram got = receive(server.get());
  EXPECT_EQ(got.from.ip, at("127.0.0.7:0").ip);
  ASSERT_EQ(sendErrno(server.get(), "re", got.from), 0);
  EXPECT_EQ(receive(client.get()).from, at(kVip));
}

TEST_F(Udp, SegmentsOfOneSendGoToOneEndpoint) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString(), b.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  const int segment = 4;
  ASSERT_EQ(setsockopt(client.get(), IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
  ASSERT_EQ(sendErrno(client.get(), "aaaabbbbcc", at(kVip)), 0);
  const UniqueFd& server = reached(atA, atB).server;
  EXPECT_EQ(receive(server.get()).text, "aaaa");
  EXPECT_EQ(receive(server.get()).text, "bbbb");
  EXPECT_EQ(receive(server.get()).text, "cc");
}

TEST_F(Udp, TheErrorQueueShowsTheEndpoint) {
  const SocketAddress closed = closedPort();
  apply(TableBuilder().service(kVip, "dns", {closed.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  const int on = 1;
  ASSERT_EQ(setsockopt(client.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
  ASSERT_EQ(sendErrno(client.get(), "x", at(kVip)), 0);
  const Datagram failed = fromErrorQueue(client.get());
  EXPECT_EQ(failed.text, "x");
  EXPECT_EQ(failed.from, closed);
}

// ---- outcomes ----

TEST_F(Udp, APortUnreachableOnAConnectedSocketIsAFailureAndEjects) {
  SocketAddress good = at("127.0.0.2:0");
  const auto server = std::move(udpServer(good)).value();
  const SocketAddress closed = closedPort();
  const auto serve = [&](const std::vector<std::string>& endpoints) {
    apply(TableBuilder().service(kVip, "dns", endpoints).udp(kVip).ejecting("dns", 2, 1));
  };
  serve({closed.toString()});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  serve({closed.toString(), good.toString()});
  for (std::uint64_t failures = 1; failures <= 2; ++failures) {
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(receive(client.get()).error, ECONNREFUSED);
    EXPECT_EQ(statsOf("dns", closed.toString()).failed[SM_FAILURE_REFUSED], failures);
  }
  EXPECT_NE(datapath_->maps().endpointState.at(idOf("dns", closed.toString()))->ejected_until_ns,
            0u);
  // Whoever connects now goes to the other one.
  for (int i = 0; i < 4; ++i) {
    const UniqueFd next = udpSocket();
    ASSERT_EQ(connectErrno(next.get(), at(kVip)), 0);
    ASSERT_EQ(send(next.get(), "y", 1, 0), 1);
    EXPECT_EQ(receive(server.get()).text, "y");
  }
}

// The application closes the socket and never reads the error.
TEST_F(Udp, AnErrorThatNobodyReadsIsAFailureToo) {
  const SocketAddress closed = closedPort();
  apply(TableBuilder().service(kVip, "dns", {closed.toString()}).udp(kVip));
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  }
  EXPECT_EQ(statsOf("dns", closed.toString()).failed[SM_FAILURE_REFUSED], 1u);
}

TEST_F(Udp, SilenceIsNeitherASuccessNorAFailure) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(receive(server.get()).text, "x");
  }
  const auto stats = statsOf("dns", backend.toString());
  EXPECT_EQ(stats.established, 0u);
  for (const auto failed : stats.failed) EXPECT_EQ(failed, 0u);
}

// An answer ends a row of failures, whether it is read with or without its source.
TEST_F(Udp, AnAnswerIsASuccess) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto server = std::move(udpServer(backend)).value();
  apply(TableBuilder().service(kVip, "dns", {backend.toString()}).udp(kVip));
  const auto answered = [&] { return statsOf("dns", backend.toString()).established; };
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    ASSERT_EQ(sendErrno(server.get(), "re", receive(server.get()).from), 0);
    char text[8];
    ASSERT_EQ(recv(client.get(), text, sizeof(text), 0), 2);
  }
  EXPECT_EQ(answered(), 1u);
  for (const bool connected : {true, false}) {
    const UniqueFd client = udpSocket();
    if (connected) {
      ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
      ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    } else {
      ASSERT_EQ(sendErrno(client.get(), "x", at(kVip)), 0);
    }
    EXPECT_EQ(answer(client, server).from, at(kVip));
    EXPECT_EQ(answered(), connected ? 2u : 3u);
  }
  EXPECT_EQ(statsOf("dns", backend.toString()).closed[SM_CLOSE_CLEAN], 2u);
}

// ---- bounds ----

TEST_F(Udp, AFlowEndsWithItsSocket) {
  SocketAddress a = at("127.0.0.2:0");
  const auto server = std::move(udpServer(a)).value();
  TableBuilder tables;
  for (int i = 1; i <= 20; ++i) {
    const std::string vip = "10.96.0." + std::to_string(i) + ":53";
    tables.service(vip, "c" + std::to_string(i), {a.toString()}).udp(vip);
  }
  apply(tables);
  {
    const UniqueFd client = udpSocket();
    for (int i = 1; i <= 20; ++i) {
      ASSERT_EQ(sendErrno(client.get(), "x", at("10.96.0." + std::to_string(i) + ":53")), 0);
    }
    EXPECT_EQ(flows(), 20u);
  }
  EXPECT_EQ(flows(), 0u);
  EXPECT_EQ(datapath_->maps().flowSources.count(), 0u);
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_ENDED), 20u);
}

TEST_F(Udp, FlowsOutliveTheAgentAndTheirEndpointsStay) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString(), b.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const UniqueFd& server = reached(atA, atB).server;
  EXPECT_EQ(receive(server.get()).text, "1");
  open();
  ASSERT_EQ(sendErrno(client.get(), "2", at(kVip)), 0);
  EXPECT_EQ(answer(client, server).from, at(kVip));
}

class FewFlows : public Udp {
 protected:
  static constexpr std::uint32_t kFlows = 128;
  DatapathOptions options() const override {
    DatapathOptions out = Udp::options();
    out.maxUdpFlows = kFlows;
    return out;
  }
};

TEST_F(FewFlows, TheOldestIsForgottenAndTheOneInUseIsKept) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(udpServer(a)).value();
  const auto atB = std::move(udpServer(b)).value();
  apply(TableBuilder().service(kVip, "dns", {a.toString(), b.toString()}).udp(kVip));
  const UniqueFd kept = udpSocket();
  ASSERT_EQ(sendErrno(kept.get(), "kept", at(kVip)), 0);
  const UniqueFd& server = reached(atA, atB).server;
  ASSERT_EQ(receive(server.get()).text, "kept");
  std::vector<UniqueFd> others;
  for (std::uint32_t i = 0; i < 3 * kFlows; ++i) {
    others.push_back(udpSocket());
    ASSERT_EQ(sendErrno(others.back().get(), "other", at(kVip)), 0);
    if (i % 8 != 0) continue;
    ASSERT_EQ(sendErrno(kept.get(), "kept", at(kVip)), 0);
  }
  EXPECT_LE(flows(), kFlows);
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_CREATED), 3 * kFlows + 1);
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_LOST), 0u);
}

}  // namespace
}  // namespace sockmesh::test
