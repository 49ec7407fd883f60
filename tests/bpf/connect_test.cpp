// SPDX-License-Identifier: Apache-2.0
// What an application meets at connect() and getpeername(), with real sockets.
#include <cerrno>

#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

class Connect : public DatapathTest {};

TEST_F(Connect, AVipBecomesItsEndpointAndGetpeernameShowsTheVip) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto listener = std::move(listenOn(backend)).value();
  apply(TableBuilder().service("10.96.0.1:80", "a", {backend.toString()}));

  const auto client = connectTo(at("10.96.0.1:80"));
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_EQ(acceptedAt(listener), backend);
  EXPECT_EQ(peerOf(client->get()), at("10.96.0.1:80"));
}

TEST_F(Connect, Ipv6AndMappedAddressesBehaveAlike) {
  SocketAddress six = at("[::1]:0");
  SocketAddress four = at("127.0.0.3:0");
  const auto sixListener = std::move(listenOn(six)).value();
  const auto fourListener = std::move(listenOn(four)).value();
  apply(TableBuilder()
            .service("[fd00::1]:80", "six", {six.toString()})
            .service("[fd00::2]:80", "v6 VIP, v4 endpoint", {four.toString()})
            .service("10.96.0.1:80", "four", {four.toString()}));

  const auto viaSix = connectTo(at("[fd00::1]:80"));
  ASSERT_TRUE(viaSix) << viaSix.error().message();
  EXPECT_EQ(acceptedAt(sixListener), six);
  EXPECT_EQ(peerOf(viaSix->get()), at("[fd00::1]:80"));

  const auto crossed = connectTo(at("[fd00::2]:80"));
  ASSERT_TRUE(crossed) << crossed.error().message();
  EXPECT_EQ(acceptedAt(fourListener), four);
  EXPECT_EQ(peerOf(crossed->get()), at("[fd00::2]:80"));

  const auto mapped = connectTo(at("10.96.0.1:80"), true);
  ASSERT_TRUE(mapped) << mapped.error().message();
  EXPECT_EQ(acceptedAt(fourListener), four);
  EXPECT_EQ(peerOf(mapped->get()), at("10.96.0.1:80"));
}

TEST_F(Connect, AnIpv4SocketCannotReachAnIpv6Endpoint) {
  apply(TableBuilder().service("10.96.0.1:80", "six", {"[::1]:9"}));
  const auto client = connectTo(at("10.96.0.1:80"));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().errnum(), EAFNOSUPPORT);
  EXPECT_EQ(readCounter(datapath_->maps(), SM_COUNTER_FAMILY_MISMATCH).value(), 1u);
}

TEST_F(Connect, AnEmptyServiceRefusesAtOnce) {
  apply(TableBuilder().service("10.96.0.1:80", "a", {}).service("[fd00::1]:80", "b", {}));
  for (const char* vip : {"10.96.0.1:80", "[fd00::1]:80"}) {
    const auto client = connectTo(at(vip));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().errnum(), ECONNREFUSED) << vip;
  }
  const auto stats = sumClusterStats(datapath_->maps(), ids_->clusterId("a"));
  EXPECT_EQ(stats.refused_no_endpoints, 1u);
}

TEST_F(Connect, OtherAddressesPortsAndServicesLeftAloneAreUntouched) {
  SocketAddress direct = at("127.0.0.9:0");
  const auto listener = std::move(listenOn(direct)).value();
  apply(TableBuilder().leftAlone(direct.toString(), "tls", SM_REASON_TLS));

  const auto alone = connectTo(direct);
  ASSERT_TRUE(alone) << alone.error().message();
  EXPECT_EQ(acceptedAt(listener), direct);
  EXPECT_EQ(sumClusterStats(datapath_->maps(), ids_->clusterId("tls")).left_alone, 1u);

  SocketAddress other = at("127.0.0.9:0");
  const auto otherListener = std::move(listenOn(other)).value();
  ASSERT_TRUE(connectTo(other));
  EXPECT_EQ(acceptedAt(otherListener), other);
  EXPECT_EQ(records(), 0u);
}

TEST_F(Connect, TheAgentsOwnSocketsBypassTheHooks) {
  SocketAddress vip = at("127.0.0.9:0");
  const auto real = std::move(listenOn(vip)).value();
  apply(TableBuilder().service(vip.toString(), "stale", {"127.0.0.10:1"}));
  const auto before = connectTo(vip);
  ASSERT_FALSE(before) << "the stale endpoint is what everybody gets";
  ASSERT_TRUE(datapath_->registerAgent());
  const auto after = connectTo(vip);
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_EQ(acceptedAt(real), vip);
}

TEST_F(Connect, RoundRobinIsExactAndRandomReachesAll) {
  SocketAddress a = at("127.0.0.2:0");
  SocketAddress b = at("127.0.0.3:0");
  const auto atA = std::move(listenOn(a)).value();
  const auto atB = std::move(listenOn(b)).value();
  apply(TableBuilder()
            .service("10.96.0.1:80", "rr", {a.toString(), b.toString()})
            .random("10.96.0.2:80", "random", {a.toString(), b.toString()}));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(connectTo(at("10.96.0.1:80")));
    ASSERT_TRUE(connectTo(at("10.96.0.2:80")));
  }
  EXPECT_EQ(statsOf("rr", a.toString()).selected, 50u);
  EXPECT_EQ(statsOf("rr", b.toString()).selected, 50u);
  const auto ofA = statsOf("random", a.toString()).selected;
  EXPECT_EQ(ofA + statsOf("random", b.toString()).selected, 100u);
  EXPECT_GT(ofA, 20u);  // 6 standard deviations
  EXPECT_LT(ofA, 80u);
}

// A lesson from other systems: reverse state belongs to the socket, never to a tuple.
TEST_F(Connect, TwoVipsAndTheDirectAddressOfOneEndpointSideBySide) {
  SocketAddress backend = at("127.0.0.2:0");
  const auto listener = std::move(listenOn(backend)).value();
  apply(TableBuilder()
            .service("10.96.0.1:80", "one", {backend.toString()})
            .service("10.96.0.2:80", "two", {backend.toString()}));
  const auto one = std::move(connectTo(at("10.96.0.1:80"))).value();
  const auto two = std::move(connectTo(at("10.96.0.2:80"))).value();
  const auto direct = std::move(connectTo(backend)).value();
  EXPECT_EQ(peerOf(one.get()), at("10.96.0.1:80"));
  EXPECT_EQ(peerOf(two.get()), at("10.96.0.2:80"));
  EXPECT_EQ(peerOf(direct.get()), backend);
}

}  // namespace
}  // namespace sockmesh::test
