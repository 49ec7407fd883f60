// SPDX-License-Identifier: Apache-2.0
// Where a UDP socket's datagrams go, and what answers show: connected, and with an address in each
// send.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "udp_fixture.h"

namespace sockmesh::test {
namespace {

TEST_F(Udp, AConnectedSocketGoesToTheEndpointAndShowsTheVip) {
  serve({a_});

  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  EXPECT_EQ(peerOf(client.get()), at(kVip));
  ASSERT_EQ(send(client.get(), "who", 3, 0), 3);
  const Datagram got = answer(client, atA_);
  EXPECT_EQ(got.text, "re: who");
  EXPECT_EQ(got.from, at(kVip));
  EXPECT_EQ(statsOf("dns", a_.toString()).selected, 1u);
  EXPECT_EQ(activeOf("dns", a_.toString()), 1u);
}

TEST_F(Udp, AConnectedSocketsRecordEndsWithTheSocket) {
  serve({a_});
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    EXPECT_EQ(records(), 1u);
    const UniqueFd passed(dup(client.get()));
    EXPECT_EQ(peerOf(passed.get()), at(kVip));
  }
  EXPECT_EQ(records(), 0u);
  EXPECT_EQ(activeOf("dns", a_.toString()), 0u);
}

TEST_F(Udp, SendtoAVipReachesTheEndpointAndTheAnswerShowsTheVip) {
  serve({a_});

  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "who", at(kVip)), 0);
  const Datagram got = answer(client, atA_);
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
  serve({a_});
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
    EXPECT_EQ(answer(client, atA_).from, at(kVip));
  }
}

TEST_F(Udp, AFlowStaysOnItsEndpointAndOtherSocketsAreBalanced) {
  serve({a_, b_});
  const UniqueFd one = udpSocket();
  const UniqueFd two = udpSocket();
  ASSERT_EQ(sendErrno(one.get(), "one", at(kVip)), 0);
  const auto [ofOne, ofTwo] = reached(atA_, atB_);
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
  serve({a_});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const Datagram first = receive(atA_.get());
  ASSERT_EQ(first.text, "1");

  // Other tables with the same endpoint, at another place: the flow stays.
  serve({b_, a_});
  ASSERT_EQ(sendErrno(client.get(), "2", at(kVip)), 0);
  EXPECT_EQ(receive(atA_.get()).text, "2");

  serve({b_});
  ASSERT_EQ(sendErrno(client.get(), "3", at(kVip)), 0);
  EXPECT_EQ(answer(client, atB_).from, at(kVip));
  EXPECT_EQ(counter(SM_COUNTER_FLOWS_MOVED), 1u);
  EXPECT_EQ(flows(), 1u);

  // A late answer of the endpoint before.
  ASSERT_EQ(sendErrno(atA_.get(), "late", first.from), 0);
  EXPECT_EQ(receive(client.get()).from, at(kVip));
}

// A node with room for two services, so that the next one takes the id of the one that is gone.
class TwoServices : public Udp {
 protected:
  DatapathOptions options() const override {
    DatapathOptions out = Udp::options();
    out.maxServices = 2;
    return out;
  }
  // Services of one cluster, with a_.
  void serveAt(const std::vector<std::string>& vips) {
    TableBuilder tables;
    for (const std::string& vip : vips) tables.service(vip, "dns", {a_.toString()}).udp(vip);
    apply(tables);
    // The filter may let any address pass.
    auto& filter = datapath_->maps().frontendFilter;
    for (std::size_t i = 0; i < filter.size(); ++i) filter[i] = ~std::uint64_t{0};
  }
};

TEST_F(TwoServices, AFlowFollowsItsServiceAndNotTheIdThatTheServiceHad) {
  serveAt({kVip, other_.toString()});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  ASSERT_EQ(receive(atA_.get()).text, "1");

  for (const char* third : {"10.96.0.3:53", "10.96.0.4:53"}) {
    serveAt({other_.toString()});
    sendErrno(client.get(), "lost", at(kVip));
    serveAt({other_.toString(), third});
    sendErrno(client.get(), "lost", at(kVip));
    ASSERT_EQ(sendErrno(client.get(), "direct", a_), 0);
    EXPECT_EQ(receive(atA_.get()).text, "direct") << "what was sent before did not go to the VIP";
  }

  serveAt({other_.toString()});
  serveAt({other_.toString(), kVip});
  ASSERT_EQ(sendErrno(client.get(), "2", at(kVip)), 0);
  EXPECT_EQ(answer(client, atA_).from, at(kVip));
}

TEST_F(Udp, AFlowMovesWhileItsEndpointIsEjected) {
  apply(TableBuilder()
            .service(kVip, "dns", {a_.toString(), b_.toString()})
            .udp(kVip)
            .ejecting("dns", 1, 1));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const auto [first, second] = reached(atA_, atB_);
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
  serveTwo(a_, a_);
  for (const SocketAddress& to : {at(kVip), at("10.96.0.2:53"), a_}) {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(sendErrno(client.get(), "x", to), 0);
    EXPECT_EQ(answer(client, atA_).from, to);
  }
}

TEST_F(Udp, TwoVipsOfOneEndpointOnOneSocketShowTheOneThatWasSentToLast) {
  serveTwo(a_, a_);
  const UniqueFd client = udpSocket();
  for (const SocketAddress& to : {at(kVip), other_, at(kVip), other_, other_, at(kVip)}) {
    ASSERT_EQ(sendErrno(client.get(), "x", to), 0);
    EXPECT_EQ(answer(client, atA_).from, to);
  }
}

// A connected socket takes datagrams of its peer alone, so the VIP that it is connected to is its
// peer, also where another endpoint would be chosen.
TEST_F(Udp, AConnectedSocketThatNamesItsVipStaysWithItsPeer) {
  serve({a_, b_});
  for (const bool mapped : {false, true}) {
    const UniqueFd client = udpSocket(mapped);
    ASSERT_EQ(connectErrno(client.get(), at(kVip), mapped), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    const UniqueFd& server = reached(atA_, atB_).server;
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
  apply(TableBuilder()
            .service(a_.toString(), "dns", {b_.toString(), a_.toString()})
            .udp(a_.toString()));
  for (const bool mapped : {false, true}) {
    SCOPED_TRACE(mapped ? "mapped" : "IPv4");
    for (int sockets = 0; sockets < 2; ++sockets) {
      const UniqueFd client = udpSocket(mapped);
      ASSERT_EQ(connectErrno(client.get(), a_, mapped), 0);
      ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
      const UniqueFd& server = reached(atA_, atB_).server;
      EXPECT_EQ(answer(client, server).from, a_);
      for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
        EXPECT_EQ(answer(client, server).from, a_);
      }
    }
  }
}

TEST_F(Udp, ASecondConnectGoesElsewhereAndADirectOneShowsTheRealPeer) {
  serveTwo(a_, b_);
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  ASSERT_EQ(connectErrno(client.get(), other_), 0);
  EXPECT_EQ(peerOf(client.get()), other_);
  EXPECT_EQ(activeOf("one", a_.toString()), 0u);
  EXPECT_EQ(activeOf("two", b_.toString()), 1u);
  ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  EXPECT_EQ(answer(client, atB_).from, other_);
  ASSERT_EQ(connectErrno(client.get(), b_), 0);
  EXPECT_EQ(peerOf(client.get()), b_);
  EXPECT_EQ(records(), 0u);
}

TEST_F(Udp, ADissolvedConnectionLeavesNothingBehind) {
  apply(TableBuilder().service(kVip, "one", {a_.toString()}).udp(kVip));
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
  ASSERT_EQ(connect(client.get(), &none, sizeof(none)), 0);
  // The same address without the VIP: what comes from there shows itself.
  ASSERT_EQ(sendErrno(client.get(), "x", a_), 0);
  EXPECT_EQ(answer(client, atA_).from, a_);
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

}  // namespace
}  // namespace sockmesh::test
