// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/reference_model.h"

#include <algorithm>
#include <cmath>

#include "unit/lb/reference_hosts.h"
#include "unit/lb/reference_tables.h"

namespace sockmesh::test {
namespace {

// ---- priorities ----

struct Level {
  std::uint64_t healthyLoad = 0;
  std::uint64_t degradedLoad = 0;
  bool panic = false;
};

bool panics(const Hosts& hosts, double threshold) {
  const double all = static_cast<double>(notDraining(hosts).size());
  double percent = 0;
  if (all > 0) {
    percent = 100.0 * static_cast<double>(healthyOf(hosts).size()) / all +
              100.0 * static_cast<double>(degradedOf(hosts).size()) / all;
  }
  return percent < std::min(100.0, std::floor(threshold));
}

std::vector<Level> totalPanic(const std::vector<Hosts>& byPriority) {
  std::uint64_t all = 0;
  for (const auto& hosts : byPriority) all += hosts.size();
  std::vector<Level> levels(byPriority.size());
  for (auto& level : levels) level.panic = true;
  if (all == 0) {
    levels[0].healthyLoad = 100;
    return levels;
  }
  std::uint64_t given = 0;
  for (std::size_t p = 0; p < levels.size(); ++p) {
    levels[p].healthyLoad = 100 * byPriority[p].size() / all;
    given += levels[p].healthyLoad;
  }
  for (std::size_t p = 0; p < levels.size(); ++p) {
    if (byPriority[p].empty()) continue;
    levels[p].healthyLoad += 100 - given;
    break;
  }
  return levels;
}

std::vector<Level> levelsOf(const ModelLeg& leg, const std::vector<Hosts>& byPriority) {
  const std::uint64_t factor = leg.assignment.overprovisioningFactor;
  const bool weighted = leg.assignment.weightedPriorityHealth;
  std::vector<std::uint64_t> healthy;
  std::vector<std::uint64_t> degraded;
  std::uint64_t total = 0;
  for (const auto& hosts : byPriority) {
    const std::uint64_t n = sum(notDraining(hosts), weighted);
    const auto percent = [&](const Hosts& good) {
      return n == 0 ? 0 : std::min<std::uint64_t>(100, factor * sum(good, weighted) / n);
    };
    healthy.push_back(percent(healthyOf(hosts)));
    degraded.push_back(percent(degradedOf(hosts)));
    total += healthy.back() + degraded.back();
  }
  const std::uint64_t norm = std::min<std::uint64_t>(100, total);
  std::vector<Level> levels(byPriority.size());
  if (norm == 0) {
    levels[0].healthyLoad = 100;
  } else {
    std::uint64_t left = 100;
    for (std::size_t p = 0; p < levels.size(); ++p) {
      levels[p].healthyLoad = std::min(left, healthy[p] * 100 / norm);
      left -= levels[p].healthyLoad;
    }
    for (std::size_t p = 0; p < levels.size(); ++p) {
      levels[p].degradedLoad = std::min(left, degraded[p] * 100 / norm);
      left -= levels[p].degradedLoad;
    }
    bool placed = false;
    for (std::size_t p = 0; p < levels.size() && !placed; ++p) {
      if (healthy[p] == 0) continue;
      levels[p].healthyLoad += left;
      placed = true;
    }
    for (std::size_t p = 0; p < levels.size() && !placed; ++p) {
      if (degraded[p] == 0) continue;
      levels[p].degradedLoad += left;
      placed = true;
    }
  }
  if (norm == 100) return levels;
  bool all = true;
  for (std::size_t p = 0; p < levels.size(); ++p) {
    levels[p].panic = panics(byPriority[p], leg.cluster.lb.healthyPanicThresholdPercent);
    all = all && levels[p].panic;
  }
  return all ? totalPanic(byPriority) : levels;
}

// ---- localities ----

// Own locality first, then by name.
std::vector<Locality> localitiesOf(const Hosts& hosts, const Locality& own) {
  std::set<Locality> names;
  for (const auto& host : hosts) names.insert(host.locality);
  std::vector<Locality> ordered;
  if (names.erase(own) > 0) ordered.push_back(own);
  ordered.insert(ordered.end(), names.begin(), names.end());
  return ordered;
}

std::uint32_t localityWeight(const ModelLeg& leg, const Hosts& hosts, const Locality& locality) {
  std::uint32_t weight = 0;
  std::uint64_t unfiltered = 0;
  for (const auto& group : leg.assignment.localities) {
    if (group.locality != locality || group.priority != hosts.front().priority) continue;
    if (group.weight != 0) weight = group.weight;
    unfiltered += group.endpoints.size();
  }
  if (leg.cluster.lb.subset && leg.cluster.lb.subset->scaleLocalityWeight) {
    weight = static_cast<std::uint32_t>(std::round(
        static_cast<double>(weight) * static_cast<double>(inLocality(hosts, locality).size()) /
        static_cast<double>(unfiltered)));
  }
  return weight;
}

Distribution withinList(const LoadBalancing& lb, const Hosts& hosts) {
  Distribution shares;
  const bool weights = lb.policy != LbPolicy::kRandom;
  const auto total = static_cast<double>(sum(hosts, weights));
  for (const auto& host : hosts) shares[host.address] += (weights ? host.weight : 1) / total;
  return shares;
}

void addScaled(Distribution& to, const Distribution& from, double factor) {
  for (const auto& [address, share] : from) to[address] += share * factor;
}

bool localityWeighted(const LoadBalancing& lb) {
  return lb.localityMode == LocalityMode::kLocalityWeighted &&
         (!lb.subset || lb.subset->localityWeightAware);
}

// `hosts` is the priority, `good` its healthy or its degraded hosts.
Distribution byLocalityWeight(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts,
                              const Hosts& good) {
  std::map<Locality, double> effective;
  double total = 0;
  for (const auto& locality : localitiesOf(hosts, world.nodeLocality)) {
    const auto all = static_cast<double>(notDraining(inLocality(hosts, locality)).size());
    if (all == 0) continue;
    const auto eligible = static_cast<double>(inLocality(good, locality).size());
    effective[locality] =
        localityWeight(leg, hosts, locality) *
        std::min(1.0, leg.assignment.overprovisioningFactor / 100.0 * eligible / all);
    total += effective[locality];
  }
  if (total == 0) return withinList(leg.cluster.lb, good);
  Distribution shares;
  for (const auto& [locality, weight] : effective) {
    if (weight == 0) continue;
    addScaled(shares, withinList(leg.cluster.lb, inLocality(good, locality)), weight / total);
  }
  return shares;
}

// ---- zones ----

Hosts callersOf(const ModelWorld& world) {
  return atPriority(hostsOf(world.callers, {}, {}), 0);
}

// The probability of each zone, or nothing if zone-aware routing does not apply.
std::map<Locality, double> zones(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts) {
  const ZoneAware& config = leg.cluster.lb.zoneAware;
  const Hosts callers = callersOf(world);
  const auto upstreamZones = localitiesOf(hosts, world.nodeLocality);
  const auto callerZones = localitiesOf(callers, world.nodeLocality);
  const Hosts healthy = healthyOf(hosts);
  const std::uint64_t ownHealthy = inLocality(healthy, world.nodeLocality).size();
  bool forced = config.forceLocalityDirectRouting && ownHealthy > 0;
  forced = forced || (config.forceLocalZoneMinSize && ownHealthy > 0 &&
                      ownHealthy >= *config.forceLocalZoneMinSize);
  if (upstreamZones.size() < 2 || (callerZones.size() < 2 && !forced)) return {};
  if (inLocality(callers, world.nodeLocality).empty()) return {};
  if (healthy.size() < config.minClusterSize) return {};
  const bool byWeight = config.basisIsWeight;
  const auto part = [&](const Hosts& all, const Locality& zone) {
    const Hosts good = healthyOf(all);
    const std::uint64_t total = sum(good, byWeight);
    return total == 0 ? 0 : 10000 * sum(inLocality(good, zone), byWeight) / total;
  };
  std::map<Locality, double> result;
  const Locality& own = world.nodeLocality;
  const bool hasOwn = upstreamZones.front() == own;
  const std::uint64_t u0 = hasOwn ? part(hosts, own) : 0;
  const std::uint64_t l0 = hasOwn ? part(callers, own) : 0;
  if (forced || (u0 > 0 && u0 >= l0)) return {{own, 1.0}};
  const std::uint64_t local = l0 > 0 ? u0 * 10000 / l0 : 0;
  if (hasOwn) result[own] = static_cast<double>(local) / 10000;
  std::map<Locality, std::uint64_t> residual;
  std::uint64_t room = 0;
  for (const auto& zone : upstreamZones) {
    if (zone == own || part(hosts, zone) <= part(callers, zone)) continue;
    residual[zone] = part(hosts, zone) - part(callers, zone);
    room += residual[zone];
  }
  if (room == 0) {
    for (const auto& zone : upstreamZones) {
      residual[zone] = inLocality(healthy, zone).empty() ? 0 : 1;
      room += residual[zone];
    }
  }
  for (const auto& [zone, capacity] : residual) {
    result[zone] += (1 - static_cast<double>(local) / 10000) * static_cast<double>(capacity) /
                    static_cast<double>(room);
  }
  return result;
}

Distribution byZone(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts,
                    const Hosts& good) {
  const Distribution flat = withinList(leg.cluster.lb, good);
  const auto probabilities = zones(leg, world, hosts);
  if (probabilities.empty()) return flat;
  const double enabled = leg.cluster.lb.zoneAware.routingEnabledPercent / 100;
  Distribution shares;
  if (panics(callersOf(world), leg.cluster.lb.healthyPanicThresholdPercent)) {
    if (!leg.cluster.lb.zoneAware.failTrafficOnPanic) return flat;
    addScaled(shares, flat, 1 - enabled);
    return shares;
  }
  addScaled(shares, flat, 1 - enabled);
  for (const auto& [zone, probability] : probabilities) {
    if (probability == 0) continue;
    addScaled(shares, withinList(leg.cluster.lb, inLocality(good, zone)), probability * enabled);
  }
  return shares;
}

// ---- tables ----

// Hosts in table order with their normalised weights.
TableHosts normalised(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts,
                      bool panic) {
  TableHosts result;
  const Hosts taking = panic ? hosts : healthyOf(hosts);
  if (!localityWeighted(leg.cluster.lb)) {
    const auto total = static_cast<double>(sum(taking, true));
    for (const auto& host : taking) result.emplace_back(host, host.weight / total);
    return result;
  }
  double all = 0;
  for (const auto& locality : localitiesOf(hosts, world.nodeLocality)) {
    all += localityWeight(leg, hosts, locality);
  }
  for (const auto& locality : localitiesOf(hosts, world.nodeLocality)) {
    const std::uint32_t weight = localityWeight(leg, hosts, locality);
    if (weight == 0) continue;
    const Hosts members = inLocality(taking, locality);
    for (const auto& host : members) {
      result.emplace_back(host,
                          weight / all * host.weight / static_cast<double>(sum(members, true)));
    }
  }
  return result;
}

Distribution byTable(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts, bool panic) {
  const auto entries = normalised(leg, world, hosts, panic);
  if (entries.empty()) return {};
  return leg.cluster.lb.policy == LbPolicy::kMaglev ? byMaglev(leg.cluster.lb, entries)
                                                    : byRing(leg.cluster.lb, entries);
}

// ---- one connection ----

Distribution chosenFrom(const ModelLeg& leg, const ModelWorld& world, const Hosts& hosts,
                        const Level& level, bool degraded) {
  const LoadBalancing& lb = leg.cluster.lb;
  if (lb.policy == LbPolicy::kMaglev || lb.policy == LbPolicy::kRingHash) {
    return byTable(leg, world, hosts, level.panic);
  }
  if (level.panic) {
    const bool fails =
        lb.localityMode == LocalityMode::kZoneAware && lb.zoneAware.failTrafficOnPanic;
    return fails ? Distribution{} : withinList(lb, hosts);
  }
  const Hosts good = degraded ? degradedOf(hosts) : healthyOf(hosts);
  if (good.empty()) return {};
  if (localityWeighted(lb)) return byLocalityWeight(leg, world, hosts, good);
  // Our choice: only healthy connections of the first priority go by zone.
  if (lb.localityMode == LocalityMode::kZoneAware && good.front().priority == 0 && !degraded) {
    return byZone(leg, world, hosts, good);
  }
  return withinList(lb, good);
}

void addLeg(const ModelLeg& leg, const ModelWorld& world, double share, ModelShares& shares) {
  const Wanted wanted = wantedOf(leg);
  if (wanted.fails) {
    shares.refused += share;
    return;
  }
  const Hosts hosts = hostsOf(leg.assignment, leg.ejected, wanted.metadata);
  std::uint32_t last = 0;
  for (const auto& group : leg.assignment.localities) last = std::max(last, group.priority);
  std::vector<Hosts> byPriority;
  for (std::uint32_t p = 0; p <= last; ++p) byPriority.push_back(atPriority(hosts, p));
  const auto levels = levelsOf(leg, byPriority);
  for (std::uint32_t p = 0; p <= last; ++p) {
    for (const bool degraded : {false, true}) {
      const std::uint64_t load = degraded ? levels[p].degradedLoad : levels[p].healthyLoad;
      if (load == 0) continue;
      const double part = share * static_cast<double>(load) / 100;
      double found = 0;
      for (const auto& [address, probability] :
           chosenFrom(leg, world, byPriority[p], levels[p], degraded)) {
        if (probability > 0) shares.endpoints[{leg.cluster.name, address}] += part * probability;
        found += probability;
      }
      shares.refused += part * (1 - found);
    }
  }
}

}  // namespace

ModelShares expectedShares(const std::vector<ModelLeg>& legs, const ModelWorld& world) {
  double total = 0;
  for (const auto& leg : legs) total += leg.weight;
  ModelShares shares;
  for (const auto& leg : legs) addLeg(leg, world, leg.weight / total, shares);
  return shares;
}

}  // namespace sockmesh::test
