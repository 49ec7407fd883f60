// SPDX-License-Identifier: Apache-2.0
// LEAST_REQUEST under unequal load: what Envoy's rule says, host by host.
#include <algorithm>
#include <cmath>

#include "bpf/distribution.h"

namespace sockmesh::test {
namespace {

class DistributionLeastRequest : public DistributionTest {
 protected:
  static Cluster leastRequest() { return cluster("c", LbPolicy::kLeastRequest); }

  // Hosts 1, 2, ... of one locality with these weights.
  static LoadAssignment hosts(const std::vector<std::uint32_t>& weights) {
    const int count = static_cast<int>(weights.size());
    LocalityEndpoints made = locality("a", 1, 1, count, count);
    for (std::size_t i = 0; i < weights.size(); ++i) made.endpoints[i].weight = weights[i];
    return assignment({made});
  }

  void load(const std::vector<std::uint32_t>& connections) {
    for (std::size_t i = 0; i < connections.size(); ++i) {
      setActive(static_cast<int>(i) + 1, connections[i]);
    }
  }
};

// Envoy's rate of a host among hosts of unequal weight.
std::vector<double> rates(const std::vector<std::uint32_t>& weights,
                          const std::vector<std::uint32_t>& connections, double bias) {
  std::vector<double> all;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    all.push_back(weights[i] / std::pow(connections[i] + 1.0, bias));
  }
  return all;
}

TEST_F(DistributionLeastRequest, TheLessLoadedOfTwoChoicesWins) {
  serve(leastRequest(), hosts({1, 1, 1, 1, 1}));
  load({40, 0, 30, 10, 20});
  // The least loaded host wins, except if it is not drawn: 1 - (4/5)^2, and so on.
  EXPECT_TRUE(follows(select(), {1, 9, 3, 7, 5}));
}

TEST_F(DistributionLeastRequest, MoreChoicesFindTheLeastLoadedMoreOften) {
  Cluster four = leastRequest();
  four.lb.choiceCount = 4;
  serve(four, hosts({1, 1, 1}));
  load({2, 1, 0});
  EXPECT_TRUE(follows(select(), {1, 15, 65}));
}

TEST_F(DistributionLeastRequest, AnyNumberOfChoicesIsMade) {
  Cluster many = leastRequest();
  many.lb.choiceCount = 100;
  serve(many, hosts({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  std::vector<std::uint32_t> connections(20, 2);
  connections[0] = 0;
  connections[1] = 1;
  load(connections);
  // Not found by any of 100 draws: (19/20)^100; nor the second: (18/20)^100.
  const double first = 1 - std::pow(0.95, 100);
  std::vector<double> shares(20, std::pow(0.9, 100) / 18);
  shares[0] = first;
  shares[1] = 1 - first - std::pow(0.9, 100);
  EXPECT_TRUE(follows(select(), shares));
}

TEST_F(DistributionLeastRequest, EquallyLoadedHostsShareEqually) {
  serve(leastRequest(), hosts({3, 3, 3, 3}));
  load({5, 0, 5, 0});
  EXPECT_TRUE(follows(select(), {1, 3, 1, 3}));
}

TEST_F(DistributionLeastRequest, AFullScanAlwaysFindsTheLeastLoaded) {
  Cluster scan = leastRequest();
  scan.lb.fullScan = true;
  serve(scan, hosts({1, 1, 1, 1, 1}));
  load({3, 1, 2, 1, 1});
  EXPECT_TRUE(follows(select(), {0, 1, 0, 1, 1}));
}

TEST_F(DistributionLeastRequest, WeightsAndConnectionsGiveTheRate) {
  const std::vector<std::uint32_t> weights = {1, 2, 3, 4, 10};
  const std::vector<std::vector<std::uint32_t>> loads = {
      {0, 0, 0, 0, 0},
      {9, 4, 0, 1, 30},
      {0, 1, 2, 4, 8},
      {100'000, 200'000, 150'000, 90'000, 1'000'000}};
  for (const double bias : {0.0, 0.5, 1.0, 1.5, 2.0}) {
    Cluster biased = leastRequest();
    biased.lb.activeRequestBias = bias;
    serve(biased, hosts(weights));
    for (const auto& connections : loads) {
      load(connections);
      EXPECT_TRUE(follows(select(200'000), rates(weights, connections, bias))) << "bias " << bias;
    }
  }
}

TEST_F(DistributionLeastRequest, ManyEquallyLoadedHostsShareByWeight) {
  std::vector<std::uint32_t> weights;
  for (std::uint32_t i = 0; i < 100; ++i) weights.push_back(1 + i % 5);
  serve(leastRequest(), hosts(weights));
  load(std::vector<std::uint32_t>(100, 12));
  EXPECT_TRUE(follows(select(), rates(weights, std::vector<std::uint32_t>(100, 12), 1)));
}

TEST_F(DistributionLeastRequest, ABusyOneOfManyHostsGivesWay) {
  std::vector<std::uint32_t> weights(1000, 1);
  std::vector<std::uint32_t> connections(1000, 9);
  weights[0] = 50;
  connections[0] = 99;
  serve(leastRequest(), hosts(weights));
  load(connections);
  const double share = 5.0 / 1004;
  EXPECT_NEAR(static_cast<double>(select().of(1)) / kSelections, share, share * 0.1);
}

// The loads change, so that the group's knowledge is wrong each time.
TEST_F(DistributionLeastRequest, ManyHostsAreExactWhateverTheirLoads) {
  for (const std::size_t count : {8U, 33U, 256U}) {
    std::vector<std::uint32_t> weights;
    for (std::uint32_t i = 0; i < count; ++i) weights.push_back(1 + i % 5);
    serve(leastRequest(), hosts(weights));
    const std::vector<std::uint32_t> idle(count, 0);
    std::vector<std::uint32_t> alike, oneIdle(count, 1000), steep;
    for (std::uint32_t i = 0; i < count; ++i) alike.push_back(20 + i % 9);
    oneIdle[count / 2] = 0;
    for (std::uint32_t i = 0; i < count; ++i) steep.push_back(i * i);
    for (const auto& connections : {alike, oneIdle, steep, idle, oneIdle, alike}) {
      load(connections);
      EXPECT_TRUE(follows(select(), rates(weights, connections, 1))) << count << " hosts";
    }
  }
}

// Above SM_LR_MAX_PASS hosts an idle one has to be among the candidates.
TEST_F(DistributionLeastRequest, IdleHostsOfAThousandAreFound) {
  std::vector<std::uint32_t> weights(1000, 1);
  weights[0] = 2;
  std::vector<std::uint32_t> connections(1000, 99);
  for (std::size_t i = 0; i < 1000; i += 5) connections[i] = 0;
  serve(leastRequest(), hosts(weights));
  load(connections);
  const Picks picks = select();
  double idle = 0;
  for (int i = 1; i <= 1000; i += 5) idle += static_cast<double>(picks.of(i));
  EXPECT_NEAR(idle / kSelections, 201 / (201 + 800 * 0.01), 0.01);
}

TEST_F(DistributionLeastRequest, HeldConnectionsMoveNothingBetweenLocalities) {
  Cluster zones = leastRequest();
  zones.lb.localityMode = LocalityMode::kLocalityWeighted;
  for (const bool differ : {false, true}) {
    auto endpoints = assignment({locality("a", 80, 1, 2, 2), locality("b", 20, 3, 2, 2)});
    if (differ) {
      for (auto& zone : endpoints.localities) zone.endpoints[0].weight = 3;
    }
    serve(zones, endpoints);
    load({25, 25, 0, 0});
    const Picks busy = select();
    EXPECT_TRUE(follows(
        busy, differ ? std::vector<double>{60, 20, 15, 5} : std::vector<double>{40, 40, 10, 10}));
    // Within the locality the less loaded wins.
    load({49, 1, 0, 0});
    EXPECT_TRUE(follows(select(), differ ? std::vector<double>{80 * 3. / 28, 80 * 25. / 28, 15, 5}
                                         : std::vector<double>{20, 60, 10, 10}));
    load({0, 0, 0, 0});
  }
}

TEST_F(DistributionLeastRequest, HeldConnectionsMoveNothingBetweenPriorities) {
  serve(leastRequest(), assignment({locality("a", 1, 1, 3, 1), locality("b", 1, 4, 2, 2, 1)}));
  load({1000});
  EXPECT_TRUE(follows(select(), {46, 0, 0, 27, 27}));
}

TEST_F(DistributionLeastRequest, ConnectionsThatStaySpreadEvenly) {
  serve(leastRequest(), hosts({1, 1, 1, 1, 1, 1, 1, 1}));
  select(80'000, true);
  for (int i = 1; i <= 8; ++i) EXPECT_NEAR(active(i), 10'000, 10) << i;
}

// Envoy's rate w / (active + 1) with connections that stay: active grows with the root of w.
TEST_F(DistributionLeastRequest, WeightedConnectionsThatStaySettle) {
  serve(leastRequest(), hosts({1, 4, 9}));
  select(60'000, true);
  EXPECT_NEAR(active(1), 10'000, 300);
  EXPECT_NEAR(active(2), 20'000, 300);
  EXPECT_NEAR(active(3), 30'000, 300);
}

}  // namespace
}  // namespace sockmesh::test
