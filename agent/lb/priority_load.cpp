// SPDX-License-Identifier: Apache-2.0
#include "lb/priority_load.h"

#include <algorithm>
#include <numeric>

namespace sockmesh {
namespace {

struct Census {
  std::uint64_t hosts = 0;
  std::uint64_t eligible = 0;  // not excluded
  std::uint64_t healthy = 0;
  std::uint64_t degraded = 0;
};

Census census(const HostSet& set, bool byWeight) {
  Census count;
  for (const Host& host : set.hosts) {
    const std::uint64_t one = byWeight ? host.endpoint->weight : 1;
    count.hosts += one;
    if (!host.excluded) count.eligible += one;
    if (host.health == HostHealth::kHealthy) count.healthy += one;
    if (host.health == HostHealth::kDegraded) count.degraded += one;
  }
  return count;
}

std::uint32_t health(std::uint64_t good, std::uint64_t all, std::uint32_t factor) {
  if (all == 0) return 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(100, factor * good / all));
}

// The loads that follow from each priority's health. What rounding leaves over goes to the first
// priority with any health.
void spread(const std::vector<std::uint32_t>& healthy, const std::vector<std::uint32_t>& degraded,
            std::uint32_t available, PriorityLoads& loads) {
  std::uint32_t remaining = 100;
  const auto give = [&](const std::vector<std::uint32_t>& from, std::vector<std::uint32_t>& to) {
    for (std::size_t p = 0; p < from.size(); ++p) {
      to[p] = std::min(remaining, from[p] * 100 / available);
      remaining -= to[p];
    }
  };
  give(healthy, loads.healthy);
  give(degraded, loads.degraded);
  const auto positive = [](std::uint32_t percent) { return percent > 0; };
  const auto first = std::find_if(healthy.begin(), healthy.end(), positive);
  if (first != healthy.end()) {
    loads.healthy[static_cast<std::size_t>(first - healthy.begin())] += remaining;
    return;
  }
  const auto other = std::find_if(degraded.begin(), degraded.end(), positive);
  loads.degraded[static_cast<std::size_t>(other - degraded.begin())] += remaining;
}

// Every priority is in panic: loads go by the numbers of hosts, whatever their health.
void spreadByHosts(const PrioritySet& set, PriorityLoads& loads) {
  std::size_t total = 0;
  for (const HostSet& level : set) total += level.hosts.size();
  std::fill(loads.healthy.begin(), loads.healthy.end(), 0);
  std::fill(loads.degraded.begin(), loads.degraded.end(), 0);
  if (total == 0) {
    loads.healthy[0] = 100;
    return;
  }
  std::uint32_t remaining = 100;
  for (std::size_t p = 0; p < set.size(); ++p) {
    loads.healthy[p] = static_cast<std::uint32_t>(100 * set[p].hosts.size() / total);
    remaining -= loads.healthy[p];
  }
  const auto first = std::find_if(set.begin(), set.end(),
                                  [](const HostSet& level) { return !level.hosts.empty(); });
  loads.healthy[static_cast<std::size_t>(first - set.begin())] += remaining;
}

double wholePercent(double threshold) {
  return static_cast<double>(static_cast<std::uint32_t>(std::clamp(threshold, 0.0, 100.0)));
}

}  // namespace

bool belowPanicThreshold(const HostSet& set, double panicThresholdPercent) {
  const Census count = census(set, false);
  const auto all = static_cast<double>(count.eligible);
  const double percent = count.eligible == 0
                             ? 0.0
                             : 100.0 * static_cast<double>(count.healthy) / all +
                                   100.0 * static_cast<double>(count.degraded) / all;
  return percent < wholePercent(panicThresholdPercent);
}

PriorityLoads priorityLoads(const PrioritySet& set, const PriorityRules& rules) {
  PriorityLoads loads;
  loads.healthy.resize(set.size());
  loads.degraded.resize(set.size());
  loads.panic.resize(set.size());
  std::vector<std::uint32_t> healthy;
  std::vector<std::uint32_t> degraded;
  for (const HostSet& level : set) {
    const Census count = census(level, rules.weightedPriorityHealth);
    healthy.push_back(health(count.healthy, count.eligible, rules.overprovisioningFactor));
    degraded.push_back(health(count.degraded, count.eligible, rules.overprovisioningFactor));
  }
  const std::uint32_t sum = std::accumulate(healthy.begin(), healthy.end(), 0U) +
                            std::accumulate(degraded.begin(), degraded.end(), 0U);
  const std::uint32_t available = std::min(100U, sum);
  if (available > 0) {
    spread(healthy, degraded, available, loads);
  } else {
    loads.healthy[0] = 100;
  }
  if (available == 100) return loads;
  bool total = true;
  for (std::size_t p = 0; p < set.size(); ++p) {
    loads.panic[p] = belowPanicThreshold(set[p], rules.panicThresholdPercent);
    total = total && loads.panic[p];
  }
  if (total) spreadByHosts(set, loads);
  return loads;
}

}  // namespace sockmesh
