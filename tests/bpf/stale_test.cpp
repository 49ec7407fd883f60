// SPDX-License-Identifier: Apache-2.0
// After sm_globals.stale_from_ns connects to services are left alone.
#include <poll.h>

#include <ctime>

#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

std::uint64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Each VIP is also an address of this machine, where another load balancer would send connections.
class Stale : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    elsewhere4_ = std::move(listenOn(vip4_)).value();
    elsewhere6_ = std::move(listenOn(vip6_)).value();
    endpoint_ = std::move(listenOn(backend_)).value();
    apply(TableBuilder()
              .service(vip4_.toString(), "four", {backend_.toString()})
              .service(vip6_.toString(), "six", {backend_.toString()}));
  }
  void staleFrom(std::uint64_t ns) { datapath_->maps().globals[0].stale_from_ns = ns; }
  std::uint64_t counted() { return readCounter(datapath_->maps(), SM_COUNTER_LEFT_STALE).value(); }
  // Connects to `vip`, and expects the connection at `listener`.
  static void expectAt(const UniqueFd& listener, const SocketAddress& vip, bool mapped = false) {
    const auto client = connectTo(vip, mapped);
    ASSERT_TRUE(client) << client.error().message();
    pollfd waiting{listener.get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 5000), 1) << vip.toString() << " leads elsewhere";
    acceptOn(listener);
  }
  void expectBalanced() {
    expectAt(endpoint_, vip4_);
    expectAt(endpoint_, vip6_);
  }

  SocketAddress vip4_ = at("127.0.0.9:0");
  SocketAddress vip6_ = at("[::1]:0");
  SocketAddress backend_ = at("127.0.0.2:0");
  UniqueFd elsewhere4_, elsewhere6_, endpoint_;
};

TEST_F(Stale, WithoutATimeOrBeforeItServicesAreBalanced) {
  expectBalanced();
  staleFrom(nowNs() + 3'600'000'000'000);
  expectBalanced();
  EXPECT_EQ(counted(), 0U);
}

TEST_F(Stale, AfterTheTimeConnectsGoWhereTheyWouldWithoutUs) {
  staleFrom(nowNs());
  expectAt(elsewhere4_, vip4_);
  expectAt(elsewhere4_, vip4_, true);
  expectAt(elsewhere6_, vip6_);
  EXPECT_EQ(counted(), 3U);
  EXPECT_EQ(records(), 0U) << "no outcome of another way counts for our endpoints";
  staleFrom(0);
  expectBalanced();
}

TEST_F(Stale, ConnectionsThatExistGoOn) {
  const auto client = connectTo(vip4_);
  ASSERT_TRUE(client);
  staleFrom(nowNs());
  EXPECT_EQ(peerOf(client->get()), vip4_);
  EXPECT_EQ(activeOf("four", backend_.toString()), 1U);
}

}  // namespace
}  // namespace sockmesh::test
