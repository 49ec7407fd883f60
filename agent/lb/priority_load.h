// SPDX-License-Identifier: Apache-2.0
// How Envoy spreads connections over priorities: health, degraded hosts, panic and total panic.
#pragma once

#include <cstdint>
#include <vector>

#include "lb/host_set.h"

namespace sockmesh {

struct PriorityRules {
  std::uint32_t overprovisioningFactor = 140;  // percent, > 0
  bool weightedPriorityHealth = false;         // weights instead of counts
  double panicThresholdPercent = 50;           // truncated to an integer, at most 100; 0: off
};

// By priority. The loads are percentages; both together sum to 100 exactly.
struct PriorityLoads {
  std::vector<std::uint32_t> healthy;
  std::vector<std::uint32_t> degraded;
  std::vector<bool> panic;
};

PriorityLoads priorityLoads(const PrioritySet& set, const PriorityRules& rules);

// Whether a host set alone is in panic (for the callers' own cluster).
bool belowPanicThreshold(const HostSet& set, double panicThresholdPercent);

}  // namespace sockmesh
