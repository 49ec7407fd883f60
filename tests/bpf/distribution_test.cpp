// SPDX-License-Identifier: Apache-2.0
// Every policy's selections in the kernel, against the compiled tables' exact shares, against
// shares worked out by hand, and against the plain model of Envoy's rules.
#include <random>

#include "bpf/distribution.h"
#include "unit/lb/random_cluster.h"

namespace sockmesh::test {
namespace {

struct Scenario {
  const char* name;
  std::vector<Leg> legs;
  // Of the hosts 1, 2, ... of the cluster "c", in any unit, for the policies that go by weight and
  // load; empty: of two clusters.
  std::vector<double> expected;
  std::vector<double> unweighted;  // RANDOM, which ignores endpoints' weights; empty: as expected
};

LocalityEndpoints weighted(std::vector<std::uint32_t> weights) {
  LocalityEndpoints made =
      locality("a", 1, 1, static_cast<int>(weights.size()), static_cast<int>(weights.size()));
  for (std::size_t i = 0; i < weights.size(); ++i) made.endpoints[i].weight = weights[i];
  return made;
}

// Hosts 1 to 20: 5 healthy, 13 degraded, 2 unhealthy.
LocalityEndpoints degraded() {
  LocalityEndpoints made = locality("a", 1, 1, 20, 5);
  for (std::size_t i = 5; i < 18; ++i) made.endpoints[i].health = EdsHealth::kDegraded;
  return made;
}

std::vector<Scenario> scenarios(LbPolicy policy) {
  const Cluster c = cluster("c", policy);
  Cluster zones = c;
  zones.lb.localityMode = LocalityMode::kLocalityWeighted;
  std::vector<Scenario> all;
  all.push_back({"one host", {{c, assignment({weighted({7})}), 1, {}}}, {1}, {}});
  all.push_back({"equal",
                 {{c, assignment({locality("a", 1, 1, 7, 7)}), 1, {}}},
                 std::vector<double>(7, 1.0),
                 {}});
  all.push_back(
      {"weights", {{c, assignment({weighted({1, 2, 3, 4})}), 1, {}}}, {1, 2, 3, 4}, {1, 1, 1, 1}});
  all.push_back(
      {"localities",
       {{zones, assignment({locality("a", 80, 1, 2, 2), locality("b", 20, 3, 3, 3)}), 1, {}}},
       {120, 120, 20, 20, 20},
       {}});
  // 1 of 3 healthy: 140 * 1 / 3 = 46 %.
  all.push_back(
      {"priorities",
       {{c, assignment({locality("a", 1, 1, 3, 1), locality("b", 1, 4, 3, 3, 1)}), 1, {}}},
       {46, 0, 0, 18, 18, 18},
       {}});
  all.push_back({"panic", {{c, assignment({locality("a", 1, 1, 3, 1)}), 1, {}}}, {1, 1, 1}, {}});
  std::vector<double> parts(20, 0.0);
  for (int i = 0; i < 5; ++i) parts[i] = 35.0 / 5;  // 140 * 25 %
  for (int i = 5; i < 18; ++i) parts[i] = 65.0 / 13;
  all.push_back({"degraded", {{c, assignment({degraded()}), 1, {}}}, parts, {}});
  all.push_back({"split",
                 {{c, assignment({locality("a", 1, 1, 2, 2)}), 75, {}},
                  {cluster("d", policy), assignment({locality("a", 1, 11, 3, 3)}), 25, {}}},
                 {},
                 {}});
  return all;
}

bool hashing(LbPolicy policy) {
  return policy == LbPolicy::kRingHash || policy == LbPolicy::kMaglev;
}

std::string nameOf(const testing::TestParamInfo<LbPolicy>& policy) {
  const char* names[] = {"RoundRobin", "LeastRequest", "Random", "RingHash", "Maglev"};
  return names[static_cast<int>(policy.param)];
}

class ByPolicy : public DistributionTest, public testing::WithParamInterface<LbPolicy> {};

TEST_P(ByPolicy, EveryEndpointGetsItsShare) {
  for (const Scenario& scenario : scenarios(GetParam())) {
    SCOPED_TRACE(scenario.name);
    const ServiceShares shares = shareOf(serve(scenario.legs));
    const Picks picks = select();
    EXPECT_TRUE(follows(picks, shares));
    if (hashing(GetParam()) || scenario.expected.empty()) continue;
    const bool unweighted = GetParam() == LbPolicy::kRandom && !scenario.unweighted.empty();
    EXPECT_TRUE(follows(picks, unweighted ? scenario.unweighted : scenario.expected));
  }
}

TEST_P(ByPolicy, ASplitKeepsItsWeights) {
  serve(scenarios(GetParam()).back().legs);
  const Picks picks = select();
  ServiceShares shares;
  shares.endpoints = {{{"c", host(1)}, 0.75}, {{"d", host(11)}, 0.25}};
  Picks clusters;
  clusters.selections = picks.selections;
  for (const auto& [endpoint, count] : picks.endpoints) {
    clusters.endpoints[{endpoint.first, host(endpoint.first == "c" ? 1 : 11)}] += count;
  }
  EXPECT_TRUE(follows(clusters, shares));
}

INSTANTIATE_TEST_SUITE_P(Distribution, ByPolicy,
                         testing::Values(LbPolicy::kRoundRobin, LbPolicy::kRandom,
                                         LbPolicy::kLeastRequest, LbPolicy::kRingHash,
                                         LbPolicy::kMaglev),
                         nameOf);

class ByHash : public DistributionTest, public testing::WithParamInterface<LbPolicy> {};

TEST_P(ByHash, AHashPicksTheSameEndpointHereAndThere) {
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> hashes = {0, 1, UINT64_MAX, UINT64_MAX - 1};
  while (hashes.size() < 20'000) hashes.push_back(random());
  for (const Scenario& scenario : scenarios(GetParam())) {
    if (scenario.legs.size() > 1) continue;
    SCOPED_TRACE(scenario.name);
    const LbService& service = serve(scenario.legs);
    const auto chosen = selectBy(hashes);
    std::size_t others = 0;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const SocketAddress* wanted = pickByHash(service, hashes[i]);
      ASSERT_NE(wanted, nullptr);
      others += chosen[i] == idOf("c", *wanted) ? 0 : 1;
    }
    EXPECT_EQ(others, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Distribution, ByHash,
                         testing::Values(LbPolicy::kRingHash, LbPolicy::kMaglev), nameOf);

class DistributionRoundRobin : public DistributionTest {};

TEST_F(DistributionRoundRobin, IsExactInEveryCycle) {
  for (const Scenario& scenario : scenarios(LbPolicy::kRoundRobin)) {
    SCOPED_TRACE(scenario.name);
    const LbService& service = serve(scenario.legs);
    if (service.pickSize > 1) continue;  // between groups it is chance
    const std::uint32_t cycle = service.groups[0]->table->size;
    const std::uint32_t cycles = std::max(1U, 100'000 / cycle);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(within(select(cycles * cycle), shareOf(service), 1e-6)) << "cycles of " << cycle;
      select(1);  // the next three begin elsewhere in the cycle
    }
  }
}

// Localities, priorities, zones, subsets, health, splits of all kinds, in the kernel as the model
// says.
class DistributionOfRandomClusters : public DistributionTest {};

TEST_F(DistributionOfRandomClusters, FollowsTheModel) {
  std::size_t endpoints = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    RandomClusters random(seed);
    const auto legs = random.legs();
    const auto world = random.world();
    serve(legs, world);
    const ModelShares model = expectedShares(legs, world);
    EXPECT_TRUE(follows(select(100'000), {model.endpoints, model.refused, 0})) << "seed " << seed;
    endpoints += model.endpoints.size();
  }
  EXPECT_GT(endpoints, 300U) << "the clusters are not trivial";
}

}  // namespace
}  // namespace sockmesh::test
