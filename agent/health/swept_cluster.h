// SPDX-License-Identifier: Apache-2.0
// What the detector remembers of a cluster and its endpoints. A part of OutlierDetector.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/name.h"
#include "health/ejection_history.h"
#include "health/resting_clusters.h"
#include "model/assignment.h"
#include "model/cluster.h"
#include "model/endpoint_state.h"
#include "model/health_overlay.h"

namespace sockmesh {

// Most hosts of a node are never connected to, so what was counted takes memory only once something
// happened.
struct SweptHost {
  struct Past {
    EjectionHistory history;
    // As counted up to the last sweep.
    decltype(EndpointState::outcomes) outcomes{};
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
  };

  SocketAddress address;
  bool seen = false;
  // Sweeps look at the host only if one of the two is set, or the programs have marked it.
  bool wasMarked = false;        // at the last sweep
  bool unsettled = false;        // ejected, its multiplier decays, or its state could not be read
  Nanos since{0};                // watched since; ejections before that are an earlier agent's
  std::unique_ptr<Past> past{};  // null: nothing has happened

  bool isRestless() const { return wasMarked || unsettled; }
  const Past& known() const {
    static const Past kNothing;
    return past ? *past : kNothing;
  }
  Past& edit() {
    if (!past) past = std::make_unique<Past>();
    return *past;
  }
  void count(const EndpointState& state) {
    if (!past && state.successes == 0 && state.failures == 0) return;
    edit().outcomes = state.outcomes;
    past->successes = state.successes;
    past->failures = state.failures;
  }
  std::vector<EjectionEvent> update(const EndpointState& state) {
    if (!past && state.ejections == 0) return {};
    return edit().history.update(state);
  }
};

struct SweptCluster {
  Name name;
  std::shared_ptr<const Cluster> cluster;
  // Not kept alive: whoever gave it has it, or has given another one by now.
  std::weak_ptr<const LoadAssignment> assignment;
  std::vector<SweptHost> hosts;       // by address; none without outlier_detection
  std::size_t restless = 0;           // of them
  HealthByAddress ejected;            // of the hosts
  std::optional<Nanos> due;           // while it does not rest
  RestingClusters::Group* resting{};  // not null: it rests, as this number
  std::uint32_t number = 0;

  // Null: it is not watched.
  SweptHost* find(const SocketAddress& address) {
    const auto host = std::ranges::lower_bound(hosts, address, {}, &SweptHost::address);
    return host == hosts.end() || host->address != address ? nullptr : &*host;
  }
  // Sets one of the two flags of one of `hosts`.
  void set(SweptHost& host, bool SweptHost::*flag, bool value) {
    const bool before = host.isRestless();
    host.*flag = value;
    if (before != host.isRestless()) before ? --restless : ++restless;
  }

  const OutlierDetection* settings() const {
    return cluster && cluster->outlierDetection ? &*cluster->outlierDetection : nullptr;
  }
};

}  // namespace sockmesh
