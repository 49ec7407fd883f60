// SPDX-License-Identifier: Apache-2.0
#include "lb/host_pool.h"

#include <algorithm>

#include "lb/zone_aware.h"

namespace sockmesh {
namespace {

void normalise(std::vector<HostPoolPart>& parts) {
  double sum = 0;
  for (const HostPoolPart& part : parts) sum += part.weight;
  for (HostPoolPart& part : parts) part.share = part.weight / sum;
}

// Empty if no locality has any weight. Selection is flat then.
std::vector<HostPoolPart> weightedParts(const HostSet& set, HostHealth health,
                                        std::uint32_t overprovisioningFactor) {
  std::vector<HostPoolPart> parts;
  for (const LocalityHosts& locality : set.localities) {
    const double weight = effectiveLocalityWeight(locality, health, overprovisioningFactor);
    if (weight <= 0) continue;
    parts.push_back({weight, weight, locality.locality, withHealth(locality.hosts, health)});
  }
  normalise(parts);
  return parts;
}

HostPoolPart flatPart(const HostSet& set, HostHealth health) {
  return {1, 1, nullptr, withHealth(allHosts(set), health)};
}

// A priority in panic: all hosts, one flat list.
HostPool panicSource(const HostSet& set, const LocalityRules& rules) {
  HostPool source;
  source.panic = true;
  HostPoolPart part;
  const bool fail = rules.mode == LocalityMode::kZoneAware && rules.zoneAware.failTrafficOnPanic;
  if (!fail) part.hosts = allHosts(set);
  source.parts.push_back(std::move(part));
  return source;
}

HostPool sourceOf(const HostSet& set, std::uint32_t priority, HostHealth health,
                  const LocalityRules& rules) {
  HostPool source;
  if (rules.mode == LocalityMode::kLocalityWeighted) {
    source.parts = weightedParts(set, health, rules.overprovisioningFactor);
    source.localityWeighted = !source.parts.empty();
  }
  // Envoy sends degraded connections to zones by the distribution of the healthy hosts, also to
  // zones without a degraded host, where they fail. Here they are spread flat.
  if (rules.mode == LocalityMode::kZoneAware && priority == 0 && health == HostHealth::kHealthy) {
    source.parts = zoneAwareParts(set, rules);
  }
  if (source.parts.empty()) source.parts.push_back(flatPart(set, health));
  return source;
}

}  // namespace

double effectiveLocalityWeight(const LocalityHosts& locality, HostHealth health,
                               std::uint32_t overprovisioningFactor) {
  const std::size_t all = locality.hosts.size() - countExcluded(locality.hosts);
  const std::size_t eligible = withHealth(locality.hosts, health).size();
  if (all == 0 || eligible == 0) return 0;
  const double available = static_cast<double>(eligible) / static_cast<double>(all);
  return locality.weight * std::min(1.0, overprovisioningFactor / 100.0 * available);
}

std::vector<HostPool> hostPools(const PrioritySet& set, const PriorityLoads& loads,
                                const LocalityRules& rules) {
  std::vector<HostPool> sources;
  for (std::uint32_t p = 0; p < set.size(); ++p) {
    for (const bool degraded : {false, true}) {
      const std::uint32_t load = degraded ? loads.degraded[p] : loads.healthy[p];
      if (load == 0) continue;
      HostPool source =
          loads.panic[p]
              ? panicSource(set[p], rules)
              : sourceOf(set[p], p, degraded ? HostHealth::kDegraded : HostHealth::kHealthy, rules);
      source.priority = p;
      source.load = load;
      source.degraded = degraded && !source.panic;
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

}  // namespace sockmesh
