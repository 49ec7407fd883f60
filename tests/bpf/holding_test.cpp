// SPDX-License-Identifier: Apache-2.0
// Services of an earlier agent go on, each until the endpoints of all clusters that it needs have
// come.
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

constexpr const char* kVip = "10.96.0.1:80";
constexpr const char* kOther = "10.96.0.2:80";

class Holding : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    SocketAddress any = at("127.0.4.254:0");
    spare_ = std::move(listenOn(any)).value();
    for (std::size_t n = 1; n < hosts_.size(); ++n) {
      SocketAddress address = at("127.0.4." + std::to_string(n) + ":" + std::to_string(any.port));
      listeners_[n] = std::move(listenOn(address)).value();
      fcntl(listeners_[n].get(), F_SETFL, O_NONBLOCK);
      hosts_[n] = address.toString();
    }
  }

  // Which backend a connection to this VIP comes to; minus the errno where it fails.
  int reached(const std::string& vip) {
    const auto client = connectTo(at(vip));
    if (!client) return -client.error().errnum();
    for (std::size_t n = 1; n < listeners_.size(); ++n) {
      if (UniqueFd(accept4(listeners_[n].get(), nullptr, nullptr, 0)).valid()) {
        return static_cast<int>(n);
      }
    }
    return 0;
  }
  std::size_t heldBy(const TableBuilder& tables, const Unknowns& unknowns = {}) {
    const WriteReport report = writer_->apply(tables.build(), unknowns);
    EXPECT_TRUE(report.errors.empty()) << report.errors.front();
    return report.held.services;
  }
  static TableBuilder unknown(TableBuilder tables, const std::string& vip,
                              const std::string& cluster,
                              sm_reason reason = SM_REASON_ENDPOINTS_UNKNOWN) {
    return tables.leftAlone(vip, cluster, reason);
  }
  // As if both were legs of one split.
  static TableBuilder split(TableBuilder tables, const std::string& vip, const std::string& other) {
    return tables.joined(vip, other);
  }

  UniqueFd spare_;
  std::array<UniqueFd, 5> listeners_;
  std::array<std::string, 5> hosts_;
};

TEST_F(Holding, ServiceByServiceUntilItsEndpointsHaveCome) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}).service(kOther, "b", {hosts_[2]}));
  open();
  EXPECT_EQ(heldBy(unknown(unknown({}, kVip, "a"), kOther, "b")), 2u);
  EXPECT_EQ(reached(kVip), 1);
  EXPECT_EQ(reached(kOther), 2);
  // The endpoints of one cluster have come. The other cluster's endpoints go on.
  EXPECT_EQ(heldBy(unknown(TableBuilder().service(kVip, "a", {hosts_[3]}), kOther, "b")), 1u);
  EXPECT_EQ(reached(kVip), 3);
  EXPECT_EQ(reached(kOther), 2);
  // No answer within the time: it counts as empty.
  EXPECT_EQ(heldBy(TableBuilder().service(kVip, "a", {hosts_[3]}).service(kOther, "b", {})), 0u);
  EXPECT_EQ(reached(kOther), -ECONNREFUSED);
}

TEST_F(Holding, ClustersOfHeldServicesKeepTheirLimitsAndEjections) {
  const auto before = TableBuilder().service(kVip, "a", {hosts_[1], hosts_[2]}).ejecting("a", 3, 1);
  apply(before);
  ASSERT_EQ(
      datapath_->ejections().detect(idOf("a", hosts_[1]), Detector::kSuccessRate, 100).value(),
      Detection::kEjected);
  open();
  const std::uint32_t id = idOf("a", hosts_[1]);
  ASSERT_EQ(heldBy(unknown({}, kVip, "a")), 1u);
  writer_->reap();
  const sm_cluster_state& state = *datapath_->maps().clusterState.at(ids_->clusterId("a"));
  EXPECT_EQ(state.ejection_limit, 1u);
  EXPECT_EQ(state.ejected, 1u);
  EXPECT_EQ(idOf("a", hosts_[1]), id);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(reached(kVip), 2) << "the other one is ejected";
  EXPECT_EQ(apply(before).writes, 0u) << "all came as it was";
  EXPECT_EQ(state.ejected, 1u);
}

TEST_F(Holding, AServiceThatIsGoneGoes) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}).service(kOther, "b", {hosts_[2]}));
  open();
  EXPECT_EQ(heldBy(unknown({}, kOther, "b")), 1u);
  EXPECT_EQ(reached(kVip), -ENETUNREACH);
  EXPECT_EQ(reached(kOther), 2);
  EXPECT_EQ(idOf("a", hosts_[1]), SM_NONE);
}

TEST_F(Holding, ASwitchToAClusterWithoutEndpointsKeepsTheOldOne) {
  apply(TableBuilder().service(kVip, "old", {hosts_[1]}));
  open();
  EXPECT_EQ(heldBy(unknown({}, kVip, "new")), 1u);
  EXPECT_EQ(reached(kVip), 1);
  EXPECT_EQ(heldBy(unknown({}, kVip, "new", SM_REASON_CLUSTER_UNKNOWN)), 1u);
  EXPECT_EQ(reached(kVip), 1);
  EXPECT_EQ(heldBy(TableBuilder().service(kVip, "new", {hosts_[2]})), 0u);
  EXPECT_EQ(reached(kVip), 2);
  EXPECT_EQ(idOf("old", hosts_[1]), SM_NONE) << "what it named is freed";
}

TEST_F(Holding, ASplitWaitsForAllItsClusters) {
  apply(split(TableBuilder().service(kVip, "a", {hosts_[1]}).service(kOther, "b", {hosts_[2]}),
              kVip, kOther));
  open();
  const std::uint32_t old = idOf("a", hosts_[1]);
  // The endpoint of "a" was replaced meanwhile. The split goes on with the old one, whose id is not
  // reused as long.
  const auto half = unknown(TableBuilder().service(kVip, "a", {hosts_[3]}), kOther, "b");
  EXPECT_EQ(heldBy(split(half, kVip, kOther)), 1u);
  writer_->reap();
  EXPECT_EQ(idOf("a", hosts_[1]), old);
  std::array<int, 5> seen{};
  for (int i = 0; i < 200; ++i) ++seen[static_cast<std::size_t>(std::max(0, reached(kVip)))];
  EXPECT_GT(seen[1], 60);
  EXPECT_GT(seen[2], 60);
  EXPECT_EQ(seen[0], 0);
  const auto whole =
      TableBuilder().service(kVip, "a", {hosts_[3]}).service(kOther, "b", {hosts_[2]});
  EXPECT_EQ(heldBy(split(whole, kVip, kOther)), 0u);
  EXPECT_EQ(idOf("a", hosts_[1]), SM_NONE);
  seen = {};
  for (int i = 0; i < 200; ++i) ++seen[static_cast<std::size_t>(std::max(0, reached(kVip)))];
  EXPECT_GT(seen[3], 60);
  EXPECT_EQ(seen[1], 0);
}

// A leg that never had endpoints holds nothing up: changes of the other leg arrive.
TEST_F(Holding, ALegThatIsLeftAloneDoesNotHoldTheOther) {
  const auto tables = [&](const std::string& host) {
    return split(unknown(TableBuilder().service(kVip, "a", {host}), kOther, "b"), kVip, kOther);
  };
  const auto reachedAtAll = [&](int n) {
    for (int i = 0; i < 100; ++i) {
      if (reached(kVip) == n) return true;
    }
    return false;
  };
  EXPECT_EQ(heldBy(tables(hosts_[1])), 0u);
  EXPECT_TRUE(reachedAtAll(1));
  EXPECT_EQ(heldBy(tables(hosts_[2])), 0u);
  EXPECT_TRUE(reachedAtAll(2));
  EXPECT_FALSE(reachedAtAll(1));
}

// A leg that is new waits, as a listener that is switched does.
TEST_F(Holding, ANewLegWithoutEndpointsIsAwaited) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}));
  open();
  const auto half = unknown(TableBuilder().service(kVip, "a", {hosts_[1]}), kOther, "b");
  EXPECT_EQ(heldBy(split(half, kVip, kOther)), 1u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(reached(kVip), 1);
}

// A cluster that asks for TLS now is not balanced in plaintext, whatever else is awaited.
TEST_F(Holding, WhatMustBeLeftAloneIsNotHeld) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}));
  open();
  EXPECT_EQ(heldBy(unknown({}, kVip, "a", SM_REASON_TLS)), 0u);
  EXPECT_EQ(reached(kVip), -ENETUNREACH);
}

TEST_F(Holding, WhatWasRefusedBeforeIsRefusedMeanwhile) {
  apply(TableBuilder().service(kVip, "a", {}));
  open();
  EXPECT_EQ(heldBy(unknown({}, kVip, "a")), 1u);
  EXPECT_EQ(reached(kVip), -ECONNREFUSED);
}

TEST_F(Holding, ANewServiceIsLeftAloneUntilItsEndpointsCome) {
  EXPECT_EQ(heldBy(unknown({}, kVip, "a")), 0u);
  EXPECT_EQ(reached(kVip), -ENETUNREACH);
}

TEST_F(Holding, AServiceWhoseListenerWasRejectedStays) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}).service(kOther, "b", {hosts_[2]}));
  open();
  Unknowns unknowns;
  unknowns.listeners = {std::string("listener-") + kVip};
  EXPECT_EQ(heldBy({}, unknowns), 1u);
  EXPECT_EQ(reached(kVip), 1);
  EXPECT_EQ(reached(kOther), -ENETUNREACH) << "the other one is gone";
  unknowns.listeners = {};
  unknowns.anyListener = true;
  EXPECT_EQ(heldBy({}, unknowns), 1u);
  EXPECT_EQ(reached(kVip), 1);
  EXPECT_EQ(heldBy({}), 0u);
  EXPECT_EQ(reached(kVip), -ENETUNREACH);
}

TEST_F(Holding, AServiceWhoseClusterWasRejectedStays) {
  apply(TableBuilder().service(kVip, "a", {hosts_[1]}));
  open();
  Unknowns unknowns;
  unknowns.clusters = {"a"};
  EXPECT_EQ(heldBy(TableBuilder().service(kVip, "a", {}), unknowns), 1u);
  EXPECT_EQ(reached(kVip), 1);
}

}  // namespace
}  // namespace sockmesh::test
