// SPDX-License-Identifier: Apache-2.0
// UDP sockets: what one call does, what becomes an outcome, and what ends.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>

#include "udp_fixture.h"

namespace sockmesh::test {
namespace {

// ---- what the application does with one call ----

TEST_F(Udp, SendmmsgTakesEachAddressByItself) {
  serveTwo(a_, b_);
  const UniqueFd client = udpSocket();
  EXPECT_EQ(sendAll(client.get(), {{at(kVip), "one"}, {other_, "two"}, {at(kVip), "three"}}), 3);
  EXPECT_EQ(receive(atA_.get()).text, "one");
  EXPECT_EQ(receive(atA_.get()).text, "three");
  EXPECT_EQ(receive(atB_.get()).text, "two");
}

TEST_F(Udp, PacketInformationChoosesTheSourceAndStaysWhatItIs) {
  serve({a_});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(bindErrno(client.get(), at("0.0.0.0:0")), 0);
  ASSERT_EQ(sendFrom(client.get(), "x", at("127.0.0.7:0").ip, at(kVip)), 0);
  const Datagram got = receive(atA_.get());
  EXPECT_EQ(got.from.ip, at("127.0.0.7:0").ip);
  ASSERT_EQ(sendErrno(atA_.get(), "re", got.from), 0);
  EXPECT_EQ(receive(client.get()).from, at(kVip));
}

TEST_F(Udp, SegmentsOfOneSendGoToOneEndpoint) {
  serve({a_, b_});
  const UniqueFd client = udpSocket();
  const int segment = 4;
  ASSERT_EQ(setsockopt(client.get(), IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
  ASSERT_EQ(sendErrno(client.get(), "aaaabbbbcc", at(kVip)), 0);
  const UniqueFd& server = reached(atA_, atB_).server;
  EXPECT_EQ(receive(server.get()).text, "aaaa");
  EXPECT_EQ(receive(server.get()).text, "bbbb");
  EXPECT_EQ(receive(server.get()).text, "cc");
}

TEST_F(Udp, TheErrorQueueShowsTheEndpoint) {
  const SocketAddress closed = closedPort();
  serve({closed});
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
  const SocketAddress closed = closedPort();
  const auto serveEjecting = [&](const std::vector<std::string>& endpoints) {
    apply(TableBuilder().service(kVip, "dns", endpoints).udp(kVip).ejecting("dns", 2, 1));
  };
  serveEjecting({closed.toString()});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
  serveEjecting({closed.toString(), a_.toString()});
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
    EXPECT_EQ(receive(atA_.get()).text, "y");
  }
}

// The application closes the socket and never reads the error.
TEST_F(Udp, AnErrorThatNobodyReadsIsAFailureToo) {
  const SocketAddress closed = closedPort();
  serve({closed});
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  }
  EXPECT_EQ(statsOf("dns", closed.toString()).failed[SM_FAILURE_REFUSED], 1u);
}

TEST_F(Udp, SilenceIsNeitherASuccessNorAFailure) {
  serve({a_});
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(receive(atA_.get()).text, "x");
  }
  const auto stats = statsOf("dns", a_.toString());
  EXPECT_EQ(stats.established, 0u);
  for (const auto failed : stats.failed) EXPECT_EQ(failed, 0u);
}

// An answer ends a row of failures, whether it is read with or without its source.
TEST_F(Udp, AnAnswerIsASuccess) {
  serve({a_});
  const auto answered = [&] { return statsOf("dns", a_.toString()).established; };
  {
    const UniqueFd client = udpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), 0);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    ASSERT_EQ(sendErrno(atA_.get(), "re", receive(atA_.get()).from), 0);
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
    EXPECT_EQ(answer(client, atA_).from, at(kVip));
    EXPECT_EQ(answered(), connected ? 2u : 3u);
  }
  EXPECT_EQ(statsOf("dns", a_.toString()).closed[SM_CLOSE_CLEAN], 2u);
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
  serve({a_, b_});
  const UniqueFd client = udpSocket();
  ASSERT_EQ(sendErrno(client.get(), "1", at(kVip)), 0);
  const UniqueFd& server = reached(atA_, atB_).server;
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
  serve({a_, b_});
  const UniqueFd kept = udpSocket();
  ASSERT_EQ(sendErrno(kept.get(), "kept", at(kVip)), 0);
  const UniqueFd& server = reached(atA_, atB_).server;
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
