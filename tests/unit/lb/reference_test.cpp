// SPDX-License-Identifier: Apache-2.0
// The compiler's tables against a plain model of Envoy's rules, on random clusters.
#include <gtest/gtest.h>

#include "lb/schedule.h"
#include "lb/share.h"
#include "unit/lb/build.h"
#include "unit/lb/model_tables.h"
#include "unit/lb/random_cluster.h"

namespace sockmesh {
namespace {

using namespace test;

// Relative: both levels of a nested schedule may be rounded. Absolute: the cells' 32 bits.
double tolerance(double share) {
  return 2 * kScheduleTolerance * share + 1e-8;
}

testing::AssertionResult agree(const ServiceShares& got, const ModelShares& expected) {
  if (std::abs(got.refused - expected.refused) > 1e-8) {
    return testing::AssertionFailure() << "refused " << got.refused << ", not " << expected.refused;
  }
  if (got.leftAlone != 0) return testing::AssertionFailure() << "left alone";
  for (const auto& [endpoint, share] : expected.endpoints) {
    const auto found = got.endpoints.find(endpoint);
    const double compiled = found == got.endpoints.end() ? 0 : found->second;
    if (std::abs(compiled - share) > tolerance(share)) {
      return testing::AssertionFailure() << endpoint.first << " " << endpoint.second.toString()
                                         << " gets " << compiled << ", not " << share;
    }
  }
  for (const auto& [endpoint, share] : got.endpoints) {
    if (!expected.endpoints.contains(endpoint)) {
      return testing::AssertionFailure()
             << endpoint.first << " " << endpoint.second.toString() << " gets " << share;
    }
  }
  return testing::AssertionSuccess();
}

std::string describe(const std::vector<ModelLeg>& legs) {
  std::string text;
  for (const ModelLeg& leg : legs) {
    text += *leg.cluster.name + " policy " +
            std::to_string(static_cast<int>(leg.cluster.lb.policy)) + " localities " +
            std::to_string(static_cast<int>(leg.cluster.lb.localityMode)) +
            (leg.cluster.lb.subset ? " subset\n" : "\n");
    for (const auto& group : leg.assignment.localities) {
      text += "  priority " + std::to_string(group.priority) + " " + group.locality->toString() +
              " weight " + std::to_string(group.weight) + "\n";
      for (const auto& one : group.endpoints) {
        text += "    " + one.address.toString() + " weight " + std::to_string(one.weight) +
                " health " + std::to_string(static_cast<int>(one.health)) + "\n";
      }
    }
  }
  return text;
}

TEST(ReferenceModel, AgreesWithTheTablesOfRandomClusters) {
  std::size_t endpoints = 0;
  for (std::uint32_t seed = 0; seed < 6000; ++seed) {
    RandomClusters random(seed);
    const auto legs = random.legs();
    const auto world = random.world();
    const ModelShares expected = expectedShares(legs, world);
    ASSERT_TRUE(agree(shareOf(test::at(*compileModel(legs, world))), expected))
        << "seed " << seed << ", node in " << world.nodeLocality.toString() << "\n"
        << describe(legs);
    endpoints += expected.endpoints.size();
  }
  EXPECT_GT(endpoints, 30000U) << "the clusters are not trivial";
}

}  // namespace
}  // namespace sockmesh
