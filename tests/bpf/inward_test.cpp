// SPDX-License-Identifier: Apache-2.0
// A tenant without privileges plays an endpoint in a network namespace of its own. What it does
// there is no evidence and no load for anybody else.
#include <fcntl.h>
#include <sys/socket.h>

#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/pod.h"
#include "support/tenant.h"
#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

constexpr const char* kBackend = "10.97.0.1";

// The endpoint is a real one, and the pod is its honest client.
class Inward : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    ASSERT_TRUE(addAddress(kBackend));
    backend_ = at(std::string(kBackend) + ":0");
    listener_ = std::move(listenOn(backend_)).value();
    fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    auto pod = Pod::create(7);
    ASSERT_TRUE(pod) << pod.error().message();
    honest_ = std::move(pod).value();
  }
  void serve(std::uint32_t threshold = 3) {
    apply(TableBuilder().service(kVip, "c", {backend_.toString()}).ejecting("c", threshold, 1));
  }
  std::unique_ptr<Tenant> tenant() {
    auto made = Tenant::create(kBackend);
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(made).value() : nullptr;
  }
  // Of the honest client: the errno of its connect(), or 0.
  int connectHonestly() {
    const int error = honest_->connect(at(kVip));
    while (UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
    }
    return error;
  }
  EndpointState line() {
    return readEndpointState(datapath_->maps(), idOf("c", backend_.toString())).value();
  }
  sm_endpoint_stats stats() { return statsOf("c", backend_.toString()); }

  SocketAddress backend_;
  UniqueFd listener_;
  std::unique_ptr<Pod> honest_;
};

// Each was served, so each could say that the endpoint fails now.
TEST_F(Inward, SixNamespacesThatServeAndRefuseThemselvesEjectNothing) {
  serve();
  std::vector<std::unique_ptr<Tenant>> liars;
  for (int i = 0; i < 6; ++i) liars.push_back(tenant());
  for (int round = 0; round < 10; ++round) {
    for (const auto& liar : liars) {
      ASSERT_EQ(liar->listen(backend_), 0);
      EXPECT_EQ(liar->connect(at(kVip)), 1);
      ASSERT_EQ(liar->close(), 0);
    }
    EXPECT_EQ(connectHonestly(), 0);
    for (const auto& liar : liars) EXPECT_EQ(liar->connect(at(kVip), 3), 0);
    EXPECT_FALSE(line().ejected);
  }
  EXPECT_EQ(line().successes, 10u) << "the honest client's";
  EXPECT_EQ(line().failures, 0u);
  EXPECT_EQ(stats().established, 70u) << "everything is counted for people";
  EXPECT_EQ(stats().failed[SM_FAILURE_REFUSED], 180u);
  EXPECT_EQ(stats().disputed, 180u);
}

// The endpoint dies. A liar that is "served" by itself meanwhile cannot keep it in rotation.
TEST_F(Inward, WhoIsServedByItselfDoesNotKeepADeadEndpoint) {
  serve();
  EXPECT_EQ(connectHonestly(), 0);
  const auto liar = tenant();
  ASSERT_EQ(liar->listen(backend_), 0);
  listener_.reset();
  int failures = 0;
  while (!line().ejected && failures < 100) {
    EXPECT_EQ(liar->connect(at(kVip), 2), 2);
    EXPECT_EQ(honest_->connect(at(kVip)), ECONNREFUSED);
    ++failures;
  }
  EXPECT_EQ(failures, 3) << "as without the liar";
}

TEST_F(Inward, ItIsSeenForIpv6) {
  SocketAddress six = at("[::1]:0");
  const auto listener = std::move(listenOn(six)).value();
  apply(TableBuilder().service("[fd00::1]:80", "c", {six.toString()}).ejecting("c", 1, 1));
  const auto liar = tenant();
  EXPECT_EQ(liar->connect(at("[fd00::1]:80"), 5), 0) << "nobody listens there";
  EXPECT_EQ(statsOf("c", six.toString()).disputed, 5u);
  // The node's own namespace is nobody's: what happens there is evidence.
  EXPECT_TRUE(connectTo(at("[fd00::1]:80")));
  EXPECT_EQ(readEndpointState(datapath_->maps(), idOf("c", six.toString()))->successes, 1u);
}

TEST_F(Inward, ItIsSeenForUdp) {
  const auto server = std::move(udpServer(backend_)).value();
  apply(TableBuilder().service(kVip, "c", {backend_.toString()}).udp(kVip).ejecting("c", 2, 1));
  EXPECT_EQ(tenant()->sendDatagrams(at(kVip), 10), 10) << "nobody listens there";
  EXPECT_EQ(stats().disputed, 10u);
  EXPECT_EQ(line().failures, 0u);
  EXPECT_FALSE(line().ejected);
}

TEST_F(Inward, ItsApplicationStillSeesTheVip) {
  serve();
  const auto liar = tenant();
  ASSERT_EQ(liar->listen(backend_), 0);
  EXPECT_EQ(liar->hold(at(kVip), 3), 3);
  EXPECT_EQ(activeOf("c", backend_.toString()), 3u) << "the records keep the endpoint's id";
  EXPECT_EQ(records(), 3u);
}

TEST_F(Inward, ConnectionsThatLeadNowhereAreNoLoad) {
  Cluster config = cluster("c", LbPolicy::kLeastRequest);
  SocketAddress other = at("10.97.0.2:" + std::to_string(backend_.port));
  ASSERT_TRUE(addAddress("10.97.0.2"));
  const auto second = std::move(listenOn(other)).value();
  fcntl(second.get(), F_SETFL, O_NONBLOCK);
  LocalityEndpoints local;
  local.endpoints.resize(2);
  local.endpoints[0].address = backend_;
  local.endpoints[1].address = other;
  ASSERT_TRUE(writer_->apply(compileLegs({{config, assignment({local}), 1, {}}})).errors.empty());

  const auto liar = tenant();
  ASSERT_EQ(liar->listen(backend_), 0);
  // The liar has both addresses, and listens on one: those of the other are refused.
  const int held = liar->hold(at(kVip), 600);
  EXPECT_GT(held, 200);
  const auto before = stats().selected;
  for (int i = 0; i < 400; ++i) {
    EXPECT_EQ(connectHonestly(), 0);
    while (UniqueFd(accept4(second.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
    }
  }
  EXPECT_NEAR(static_cast<double>(stats().selected - before), 200, 60) << held << " held";
  EXPECT_EQ(activeOf("c", backend_.toString()), static_cast<std::uint32_t>(held));
}

}  // namespace
}  // namespace sockmesh::test
