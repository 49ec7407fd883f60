// SPDX-License-Identifier: Apache-2.0
// Random clusters of every kind, the same for the same seed.
#pragma once

#include <random>

#include "unit/lb/reference_model.h"

namespace sockmesh::test {

class RandomClusters {
 public:
  explicit RandomClusters(std::uint32_t seed) : random_(seed) {}

  std::vector<ModelLeg> legs();
  ModelWorld world();

 private:
  bool chance(std::uint32_t percent) { return random_() % 100 < percent; }
  std::uint32_t upTo(std::uint32_t most) {
    return static_cast<std::uint32_t>(random_() % (most + 1));
  }
  EdsHealth health(std::uint32_t illness);
  ModelLeg leg(const std::string& name, int firstHost);
  LoadBalancing policy();
  ZoneAware zoneAware();
  LoadAssignment endpoints(int firstHost);
  void addSubset(ModelLeg& leg);

  std::mt19937 random_;
};

}  // namespace sockmesh::test
