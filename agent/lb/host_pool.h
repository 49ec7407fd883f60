// SPDX-License-Identifier: Apache-2.0
// The pools of hosts from which a connection's host is chosen, and their shares: Envoy's choice of
// priority, availability, panic and locality. The policy then chooses inside a pool.
#pragma once

#include <cstdint>
#include <vector>

#include "lb/host_set.h"
#include "lb/priority_load.h"
#include "model/cluster.h"

namespace sockmesh {

// Hosts among which the policy chooses.
struct HostPoolPart {
  double weight = 1;                         // effective locality weight, or the share itself; > 0
  double share = 1;                          // of its source's connections; > 0, they sum to 1
  const SharedLocality* locality = nullptr;  // null: hosts of several localities
  HostList hosts;                            // empty: these connections find no host
};

// One priority's healthy or degraded hosts, or all of them.
struct HostPool {
  std::uint32_t priority = 0;
  std::uint32_t load = 0;  // percent of the cluster's connections, > 0
  bool degraded = false;
  bool panic = false;
  // The parts are localities. Envoy walks them by earliest deadline first, not by a random draw.
  bool localityWeighted = false;
  std::vector<HostPoolPart> parts;  // at least one
};

struct LocalityRules {
  LocalityMode mode = LocalityMode::kFlat;
  std::uint32_t overprovisioningFactor = 140;  // percent
  double panicThresholdPercent = 50;
  ZoneAware zoneAware;
  // The callers' own cluster (its priority 0). Null: not known, and zone-aware routing is off.
  const HostSet* localCluster = nullptr;
};

// In order of priority, healthy before degraded. The loads sum to 100. For the policies that choose
// by weight or load. The hash policies have their own tables.
std::vector<HostPool> hostPools(const PrioritySet& set, const PriorityLoads& loads,
                                const LocalityRules& rules);

// Envoy's effective weight of a locality for its hosts of this health: the configured weight,
// reduced once overprovisioning no longer makes up for the missing hosts.
double effectiveLocalityWeight(const LocalityHosts& locality, HostHealth health,
                               std::uint32_t overprovisioningFactor);

}  // namespace sockmesh
