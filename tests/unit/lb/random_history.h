// SPDX-License-Identifier: Apache-2.0
// A mesh that changes at random, the same for the same seed: clusters c0 to c3, and listeners l0 to
// l5 that fight over six VIPs.
#pragma once

#include <random>
#include <set>
#include <string>

#include "model/changes.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"
#include "unit/lb/random_cluster.h"

namespace sockmesh::test {

class RandomHistory {
 public:
  explicit RandomHistory(std::uint32_t seed) : random_(seed), clusters_(seed) {}

  // What the step changed. A cluster whose ejections changed is among the clusters.
  Changes step();

  const Snapshot& snapshot() const { return snapshot_; }
  const HealthOverlay& overlay() const { return overlay_; }

 private:
  static std::string changed(std::set<std::string>& names, const std::string& name);
  std::string cluster() { return "c" + std::to_string(random_() % 4); }
  std::string listener() { return "l" + std::to_string(random_() % 6); }
  void putCluster();
  void putListener();
  void eject();

  std::mt19937 random_;
  RandomClusters clusters_;
  Snapshot snapshot_;
  HealthOverlay overlay_;
  Changes changed_;
};

}  // namespace sockmesh::test
