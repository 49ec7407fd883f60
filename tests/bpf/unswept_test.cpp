// SPDX-License-Identifier: Apache-2.0
// The marks at endpoints and clusters whose connects have ended. Outlier detection looks at nothing
// else, so no outcome may be without one.
#include "maps/unswept.h"

#include <atomic>
#include <map>
#include <thread>

#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

class Unswept : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    listener_ = std::move(listenOn(backend_, 4096)).value();
    // Nobody listens there.
    const UniqueFd closed = std::move(listenOn(refusing_)).value();
    TableBuilder tables;
    tables.service(kVip, "served", {backend_.toString()});
    tables.service(kOtherVip, "refused", {refusing_.toString()});
    apply(tables);
  }

  static int connectOnce(const char* vip) {
    const auto socket = tcpSocket();
    return connectErrno(socket.get(), at(vip));
  }
  std::uint32_t cluster(const std::string& name) { return ids_->clusterId(name); }
  bool isMarked(const std::string& name, const SocketAddress& endpoint) {
    const bool isSet = isClusterUnswept(datapath_->maps(), cluster(name));
    EXPECT_EQ(isEndpointUnswept(datapath_->maps(), idOf(name, endpoint.toString())), isSet);
    return isSet;
  }
  // As the agent does, at its sweep.
  bool take(const std::string& name, const SocketAddress& endpoint) {
    clearCluster(datapath_->maps(), cluster(name));
    return takeEndpoint(datapath_->maps(), idOf(name, endpoint.toString()));
  }

  SocketAddress backend_ = at("127.0.5.1:0");
  SocketAddress refusing_ = at("127.0.5.2:0");
  UniqueFd listener_;
  static constexpr const char* kVip = "10.96.5.1:80";
  static constexpr const char* kOtherVip = "10.96.5.2:80";
};

TEST_F(Unswept, WhatIsServedOrFailsMarksItsEndpointAndItsClusterAlone) {
  EXPECT_TRUE(unsweptClusters(datapath_->maps()).empty());
  ASSERT_EQ(connectOnce(kVip), 0);
  EXPECT_TRUE(isMarked("served", backend_));
  EXPECT_FALSE(isMarked("refused", refusing_));
  ASSERT_EQ(connectOnce(kOtherVip), ECONNREFUSED);
  EXPECT_TRUE(isMarked("refused", refusing_));
  EXPECT_EQ(unsweptClusters(datapath_->maps()),
            (std::vector{std::min(cluster("served"), cluster("refused")),
                         std::max(cluster("served"), cluster("refused"))}));
}

TEST_F(Unswept, AMarkThatWasTakenComesBackWithTheNextOutcome) {
  const auto served = std::tuple(kVip, "served", backend_);
  for (const auto& [vip, name, endpoint] : {served, {kOtherVip, "refused", refusing_}}) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(isMarked(name, endpoint)) << name << i;
      [[maybe_unused]] const int error = connectOnce(vip);
      EXPECT_TRUE(take(name, endpoint)) << name << i;
      EXPECT_FALSE(take(name, endpoint)) << name << i;
    }
  }
}

TEST_F(Unswept, AnEndpointThatComesAnewHasNone) {
  ASSERT_EQ(connectOnce(kOtherVip), ECONNREFUSED);
  const std::uint32_t before = idOf("refused", refusing_.toString());
  apply(TableBuilder().service(kVip, "served", {backend_.toString()}));
  const SocketAddress other = at("127.0.5.3:80");
  apply(TableBuilder()
            .service(kVip, "served", {backend_.toString()})
            .service(kOtherVip, "refused", {other.toString()}));
  EXPECT_EQ(idOf("refused", other.toString()), before) << "the id is reused";
  EXPECT_FALSE(isEndpointUnswept(datapath_->maps(), before));
}

// Sweeps as the agent's: they read what is marked, and what the sweep before found marked.
TEST_F(Unswept, NoOutcomeIsMissedBesideSweeps) {
  constexpr int kConnects = 3000;
  std::atomic<bool> done{false};
  std::thread client([&] {
    for (int i = 0; i < kConnects; ++i) EXPECT_EQ(connectOnce(kOtherVip), ECONNREFUSED);
    done = true;
  });
  const std::uint32_t id = idOf("refused", refusing_.toString());
  std::uint64_t seen = 0;
  std::uint64_t sweeps = 0;
  bool wasMarked = false;
  const auto sweepOnce = [&] {
    const bool rests = !wasMarked && !isClusterUnswept(datapath_->maps(), cluster("refused"));
    if (rests) return;
    const bool marked = take("refused", refusing_);
    if (marked || wasMarked) seen = readEndpointState(datapath_->maps(), id)->failures;
    wasMarked = marked;
    ++sweeps;
  };
  while (!done) sweepOnce();
  client.join();
  for (int i = 0; i < 3; ++i) sweepOnce();
  EXPECT_EQ(seen, std::uint64_t{kConnects});
  EXPECT_GT(sweeps, 2u);
  EXPECT_FALSE(isClusterUnswept(datapath_->maps(), cluster("refused")));
}

}  // namespace
}  // namespace sockmesh::test
