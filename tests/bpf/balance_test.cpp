// SPDX-License-Identifier: Apache-2.0
// Bounded load (hash_balance_factor): the kernel's picks against Envoy's rule written down plainly,
// with doubles and std::mt19937, for random connection counts and weights.
#include <cmath>
#include <numeric>
#include <random>

#include "bpf/distribution.h"
#include "support/eventually.h"

namespace sockmesh::test {
namespace {

struct ReferenceHost {
  double weight = 0;  // normalised
  std::uint32_t active = 0;
};

double overload(const ReferenceHost& host, std::uint32_t total) {
  const auto slots = std::max(static_cast<std::uint32_t>(std::ceil(total * host.weight)), 1U);
  return static_cast<double>(host.active) / slots;
}

// Envoy's BoundedLoadHashingLoadBalancer::chooseHost(), given the hash's own host.
std::uint32_t referencePick(const std::vector<ReferenceHost>& hosts, std::uint32_t clusterActive,
                            std::uint32_t factor, std::uint64_t hash, std::uint32_t own) {
  const std::uint32_t total = ((clusterActive + 1) * factor + 99) / 100;
  double least = overload(hosts[own], total);
  if (least <= 1.0) return own;
  std::vector<std::uint32_t> order(hosts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937 random(static_cast<std::uint32_t>(hash));
  std::uint32_t best = own;
  for (std::uint32_t i = 0; i < hosts.size(); ++i) {
    const auto k = static_cast<std::uint32_t>(hosts.size()) - i;
    std::uint64_t x = k;
    while (x >= k) x = random() / ((std::uint64_t{1} << 32) / k);
    std::swap(order[i], order[i + x]);
    if (order[i] == own) continue;
    const double factorOf = overload(hosts[order[i]], total);
    if (factorOf <= 1.0) return order[i];
    if (least > factorOf) {
      least = factorOf;
      best = order[i];
    }
  }
  return best;
}

class Balance : public DistributionTest, public testing::WithParamInterface<LbPolicy> {
 protected:
  void setClusterActive(std::uint32_t connections) {
    datapath_->maps().clusterState.at(ids_->clusterId("c"))->active = connections;
  }
};

TEST_P(Balance, PickByPickAsEnvoy) {
  std::mt19937_64 random(11);
  std::size_t moved = 0;
  std::size_t last = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    const int count = std::vector{1, 2, 3, 7, 25, 60, 700}[round % 7];
    Cluster c = cluster("c", GetParam());
    c.lb.hashBalanceFactor = std::vector{100U, 125U, 150U, 101U, 333U}[round % 5];
    c.lb.maglevTableSize = 4099;
    LocalityEndpoints local;
    std::vector<ReferenceHost> hosts;
    double sum = 0;
    for (int n = 1; n <= count; ++n) {
      Endpoint one = endpoint(n, round % 3 == 0 ? 1 : 1 + random() % 100);
      sum += one.weight;
      local.endpoints.push_back(one);
    }
    const LbService& service = serve(c, assignment({local}));
    // Mostly near the average, so that some hosts are above their bound, and sometimes all.
    const std::uint32_t average = 1 + random() % 40;
    std::uint32_t total = 0;
    for (int n = 1; n <= count; ++n) {
      ReferenceHost one;
      one.weight = local.endpoints[n - 1].weight / sum;
      one.active = static_cast<std::uint32_t>(random() % (2 * average + 1));
      total += one.active;
      setActive(n, one.active);
      hosts.push_back(one);
    }
    const std::uint32_t clusterActive = round % 4 == 3 ? total / 3 : total;
    setClusterActive(clusterActive);
    std::vector<std::uint64_t> hashes;
    // Each twice in a row: the order of its hosts is kept after the first time.
    for (int i = 0; i < 1500; ++i) hashes.push_back(i % 2 == 0 ? random() : hashes.back());
    const auto chosen = selectBy(hashes);
    std::size_t others = 0;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const auto& group = service.groups[0]->hosts;
      const SocketAddress* own = pickByHash(service, hashes[i]);
      const auto ownIndex =
          static_cast<std::uint32_t>(std::find(group.begin(), group.end(), *own) - group.begin());
      const std::uint32_t wanted =
          referencePick(hosts, clusterActive, c.lb.hashBalanceFactor, hashes[i], ownIndex);
      moved += wanted != ownIndex ? 1 : 0;
      last += wanted != ownIndex && hosts[wanted].active > 0 ? 1 : 0;
      others += chosen[i] == idOf("c", group[wanted]) ? 0 : 1;
    }
    EXPECT_EQ(others, 0U) << count << " hosts";
  }
  EXPECT_GT(moved, 5000U) << "the counts are not trivial";
  EXPECT_GT(last, 1000U);
}

// A client without a hash: among the hosts that have room none is preferred.
TEST_P(Balance, ARandomHashGoesToAnyHostWithRoom) {
  constexpr int kHosts = 8;
  constexpr std::uint32_t kPicks = 40000;
  Cluster c = cluster("c", GetParam());
  c.lb.hashBalanceFactor = 150;
  LocalityEndpoints local;
  for (int n = 1; n <= kHosts; ++n) local.endpoints.push_back(endpoint(n, 1));
  serve(c, assignment({local}));
  for (int n = 1; n <= kHosts; ++n) setActive(n, n <= kHosts / 2 ? 100 : 0);
  setClusterActive(100);  // 19 are room for none of the first half
  const Picks picks = select(kPicks);
  for (int n = 1; n <= kHosts; ++n) {
    // Half of the picks are the policy's own, whose shares are those of its table.
    const double share = n <= kHosts / 2 ? 0 : kPicks / 4.0;
    EXPECT_NEAR(static_cast<double>(picks.of(n)), share, share * 0.12) << n;
  }
}

// 100 * 0.28 is a little more than 28 for doubles: the ceiling is 29.
TEST_P(Balance, RoundsAsDoublesDo) {
  Cluster c = cluster("c", GetParam());
  c.lb.hashBalanceFactor = 100;
  LocalityEndpoints local;
  local.endpoints = {endpoint(1, 7), endpoint(2, 18)};
  const LbService& service = serve(c, assignment({local}));
  setActive(1, 29);
  setActive(2, 1);
  setClusterActive(99);
  std::vector<std::uint64_t> toFirst;
  std::mt19937_64 random(3);
  while (toFirst.size() < 50) {
    const std::uint64_t hash = random();
    if (*pickByHash(service, hash) == host(1)) toFirst.push_back(hash);
  }
  for (const std::uint32_t id : selectBy(toFirst)) EXPECT_EQ(id, idOf("c", host(1)));
  setActive(1, 30);
  for (const std::uint32_t id : selectBy(toFirst)) EXPECT_EQ(id, idOf("c", host(2)));
}

INSTANTIATE_TEST_SUITE_P(Distribution, Balance,
                         testing::Values(LbPolicy::kRingHash, LbPolicy::kMaglev),
                         [](const auto& policy) {
                           return policy.param == LbPolicy::kMaglev ? "Maglev" : "RingHash";
                         });

// With real connections: the cluster counts them, from connect() to close().
class BalanceLive : public DatapathTest {};

TEST_F(BalanceLive, ConnectionsOfTheClusterAreCounted) {
  SocketAddress any = at("0.0.0.0:0");
  const UniqueFd listener = std::move(listenOn(any)).value();
  Cluster c = cluster("c", LbPolicy::kMaglev);
  LocalityEndpoints local;
  for (int n = 1; n <= 4; ++n) {
    Endpoint one;
    one.address = at("127.0.5." + std::to_string(n) + ":" + std::to_string(any.port));
    local.endpoints.push_back(one);
  }
  const auto serve = [&](std::uint32_t factor) {
    c.lb.hashBalanceFactor = factor;
    ASSERT_TRUE(
        writer_->apply(compileLegs({{c, assignment({local}), 1, {}}}, true)).errors.empty());
  };
  const auto total = [&] {
    return datapath_->maps().clusterState.at(ids_->clusterId("c"))->active;
  };
  std::vector<UniqueFd> open;
  const auto connect = [&](int count) {
    for (int i = 0; i < count; ++i) {
      open.push_back(tcpSocket());
      EXPECT_EQ(connectErrno(open.back().get(), at(kVip)), 0);
    }
  };
  serve(0);
  connect(8);
  EXPECT_EQ(total(), 0u) << "nobody asked";
  open.clear();
  serve(100);
  connect(40);
  EXPECT_EQ(total(), 40u);
  // One source has one hash: without the bound, all connections would go to one endpoint.
  for (const Endpoint& one : local.endpoints) {
    // At most ceil(41 / 4), and the connection that was let in at that number.
    const auto active = store_->activeConnections(ids_->endpointId("c", one.address));
    EXPECT_LE(active, 12u);
    EXPECT_GE(active, 4u);
  }
  serve(0);
  open.clear();
  EXPECT_TRUE(eventually([&] { return total() == 0; })) << "counted off though the factor is gone";
}

}  // namespace
}  // namespace sockmesh::test
