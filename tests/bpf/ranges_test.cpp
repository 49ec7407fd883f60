// SPDX-License-Identifier: Apache-2.0
// Services whose VIP is a range of addresses, with real sockets.
#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <limits>

#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

class Ranges : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    wideListener_ = std::move(listenOn(wide_)).value();
    narrowListener_ = std::move(listenOn(narrow_)).value();
  }
  // Connects to the address, and says which of the two backends was reached.
  void expectLeadsTo(const std::string& address, const SocketAddress& backend,
                     bool mapped = false) {
    const auto client = connectTo(at(address), mapped);
    ASSERT_TRUE(client) << address << ": " << client.error().message();
    EXPECT_EQ(acceptedAt(backend == wide_ ? wideListener_ : narrowListener_), backend) << address;
    EXPECT_EQ(peerOf(client->get()), at(address)) << "as it was asked for";
  }
  // The peer that TCP has is the address itself: no program rewrote it. 127.0.0.0/8 answers.
  void expectUntouched(const std::string& address) {
    const auto client = connectTo(at(address));
    ASSERT_FALSE(client) << address;
    EXPECT_EQ(client.error().errnum(), ECONNREFUSED) << address << ": nobody listens there";
  }
  int bitsSet() {
    int set = 0;
    for (std::uint32_t i = 0; i < SM_FILTER_WORDS; ++i) {
      set += std::popcount(datapath_->maps().frontendFilter[i]);
    }
    return set;
  }

  SocketAddress wide_ = at("127.0.0.2:0");
  SocketAddress narrow_ = at("127.0.0.3:0");
  UniqueFd wideListener_;
  UniqueFd narrowListener_;
};

TEST_F(Ranges, EveryAddressInsideIsBalancedAndNoneOutside) {
  apply(TableBuilder().service("127.1.0.0/16:80", "a", {wide_.toString()}));
  expectLeadsTo("127.1.0.0:80", wide_);
  expectLeadsTo("127.1.2.3:80", wide_);
  expectLeadsTo("127.1.255.255:80", wide_);
  expectLeadsTo("127.1.2.3:80", wide_, true);
  expectUntouched("127.2.0.0:80");
  expectUntouched("127.0.255.255:80");
  expectUntouched("127.1.2.3:81");
}

TEST_F(Ranges, TheLongestPrefixWinsAndAnAddressBeforeAnyRange) {
  apply(TableBuilder()
            .service("127.1.0.0/16:80", "wide", {wide_.toString()})
            .service("127.1.2.0/24:80", "narrow", {narrow_.toString()})
            .service("127.1.3.3:80", "one", {narrow_.toString()}));
  expectLeadsTo("127.1.1.9:80", wide_);
  expectLeadsTo("127.1.2.9:80", narrow_);
  expectLeadsTo("127.1.3.3:80", narrow_);
  expectLeadsTo("127.1.3.4:80", wide_);
}

TEST_F(Ranges, WhatIsLeftOutInsideIsLeftAlone) {
  apply(TableBuilder()
            .service("127.1.0.0/16:80", "wide", {wide_.toString()})
            .leftAlone("127.1.2.0/24:80", "", SM_REASON_LEFT_OUT)
            .leftAlone("127.1.3.3:80", "", SM_REASON_LEFT_OUT));
  expectLeadsTo("127.1.1.9:80", wide_);
  expectUntouched("127.1.2.9:80");
  expectUntouched("127.1.3.3:80");
}

TEST_F(Ranges, RangesOfIpv6) {
  apply(TableBuilder()
            .service("[fd00::/32]:80", "wide", {wide_.toString()})
            .service("[fd00:0:1::/48]:80", "narrow", {narrow_.toString()}));
  expectLeadsTo("[fd00::7]:80", wide_);
  expectLeadsTo("[fd00:0:1::7]:80", narrow_);
}

TEST_F(Ranges, AShortRangeOfIpv6HasNoIpv4Address) {
  apply(TableBuilder().service("[::/1]:80", "a", {wide_.toString()}));
  expectLeadsTo("[7000::1]:80", wide_);
  expectUntouched("127.1.2.3:80");
}

TEST_F(Ranges, ASocketThatConnectsAgainShowsWhatItAskedForLast) {
  SocketAddress direct = at("127.0.0.4:0");
  const auto listener = std::move(listenOn(direct)).value();
  apply(TableBuilder()
            .service("127.1.0.0/16:80", "wide", {wide_.toString()})
            .service("127.1.0.0:80", "its first address", {wide_.toString()}));
  const UniqueFd client = tcpSocket();
  const auto disconnect = [&] {
    const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
    ASSERT_EQ(connect(client.get(), &none, sizeof(none)), 0);
  };
  for (const char* address : {"127.1.2.3:80", "127.1.2.4:80", "127.1.0.0:80", "127.1.2.5:80"}) {
    ASSERT_EQ(connectErrno(client.get(), at(address)), 0) << address;
    EXPECT_EQ(peerOf(client.get()), at(address));
    disconnect();
  }
  ASSERT_EQ(connectErrno(client.get(), direct), 0);
  EXPECT_EQ(peerOf(client.get()), direct);
}

TEST_F(Ranges, WithoutRangesAnAddressPassesTheFilterNoMore) {
  apply(TableBuilder().service("10.96.0.1:80", "a", {wide_.toString()}));
  ASSERT_EQ(bitsSet(), 1);
  apply(TableBuilder()
            .service("127.1.0.0/16:80", "a", {wide_.toString()})
            .service("10.96.0.2:80", "a", {wide_.toString()}));
  EXPECT_EQ(bitsSet(), SM_FILTER_WORDS * 64);
  expectLeadsTo("10.96.0.2:80", wide_);
  apply(TableBuilder().service("10.96.0.2:80", "a", {wide_.toString()}));
  EXPECT_EQ(bitsSet(), 1);
  expectLeadsTo("10.96.0.2:80", wide_);
  expectUntouched("127.1.2.3:80");
}

TEST_F(Ranges, ANextAgentTakesThemOverAndWritesNothing) {
  TableBuilder tables;
  tables.service("127.1.0.0/16:80", "a", {wide_.toString()})
      .service("[fd00::/32]:80", "a", {wide_.toString()})
      .leftAlone("127.1.2.0/24:80", "", SM_REASON_LEFT_OUT);
  apply(tables);
  const auto client = connectTo(at("127.1.9.9:80"));
  ASSERT_TRUE(client);
  open();
  const WriteReport report = apply(tables);
  EXPECT_EQ(report.servicesAdded + report.servicesChanged + report.servicesRemoved, 0u);
  EXPECT_EQ(counted_->total(), 0u);
  EXPECT_EQ(peerOf(client->get()), at("127.1.9.9:80")) << "of a connection that was there before";
  EXPECT_EQ(bitsSet(), SM_FILTER_WORDS * 64);
  expectLeadsTo("[fd00::7]:80", wide_);
}

}  // namespace
}  // namespace sockmesh::test
