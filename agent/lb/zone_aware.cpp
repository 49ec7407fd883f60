// SPDX-License-Identifier: Apache-2.0
#include "lb/zone_aware.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::uint64_t kWhole = 10000;  // Envoy's unit: hundredths of a percent

std::uint64_t healthyOf(const LocalityHosts& locality, bool byWeight) {
  std::uint64_t sum = 0;
  for (const Host* host : withHealth(locality.hosts, HostHealth::kHealthy)) {
    sum += byWeight ? host->endpoint->weight : 1;
  }
  return sum;
}

std::uint64_t healthyOf(const HostSet& set, bool byWeight) {
  std::uint64_t sum = 0;
  for (const LocalityHosts& locality : set.localities) sum += healthyOf(locality, byWeight);
  return sum;
}

// By upstream locality: its share of the upstream's healthy hosts and of the callers' healthy
// hosts.
struct Zone {
  std::uint64_t upstream = 0;
  std::uint64_t local = 0;
};

std::vector<Zone> zones(const HostSet& upstream, const HostSet& local, bool byWeight) {
  const std::uint64_t upstreamSum = healthyOf(upstream, byWeight);
  const std::uint64_t localSum = healthyOf(local, byWeight);
  std::vector<Zone> result;
  for (const LocalityHosts& locality : upstream.localities) {
    Zone zone;
    if (upstreamSum > 0) zone.upstream = kWhole * healthyOf(locality, byWeight) / upstreamSum;
    for (const LocalityHosts& callers : local.localities) {
      if (localSum > 0 && *callers.locality == *locality.locality) {
        zone.local = kWhole * healthyOf(callers, byWeight) / localSum;
      }
    }
    result.push_back(zone);
  }
  return result;
}

bool forcedDirect(const HostSet& upstream, const ZoneAware& config) {
  if (!upstream.hasLocalLocality) return false;
  const std::uint64_t own = healthyOf(upstream.localities[0], false);
  if (config.forceLocalityDirectRouting && own > 0) return true;
  return config.forceLocalZoneMinSize && own > 0 && own >= *config.forceLocalZoneMinSize;
}

bool applies(const HostSet& upstream, const LocalityRules& rules) {
  const HostSet* local = rules.localCluster;
  if (local == nullptr || upstream.localities.size() < 2) return false;
  if (local->localities.size() < 2 && !forcedDirect(upstream, rules.zoneAware)) return false;
  return local->hasLocalLocality && healthyOf(upstream, false) >= rules.zoneAware.minClusterSize;
}

// The share of each upstream locality.
std::vector<double> shares(const HostSet& upstream, const LocalityRules& rules) {
  const auto zone = zones(upstream, *rules.localCluster, rules.zoneAware.basisIsWeight);
  std::vector<double> share(zone.size(), 0.0);
  const bool own = upstream.hasLocalLocality;
  if (forcedDirect(upstream, rules.zoneAware) ||
      (own && zone[0].upstream > 0 && zone[0].upstream >= zone[0].local)) {
    share[0] = 1;
    return share;
  }
  if (own && zone[0].local > 0) {
    // In whole ten-thousandths, as Envoy computes it.
    const auto routed = zone[0].upstream * kWhole / zone[0].local;
    share[0] = static_cast<double>(routed) / kWhole;
  }
  const double others = 1 - share[0];
  double residual = 0;
  std::vector<double> capacity(zone.size(), 0.0);
  for (std::size_t i = own ? 1 : 0; i < zone.size(); ++i) {
    if (zone[i].upstream > zone[i].local) {
      capacity[i] = static_cast<double>(zone[i].upstream - zone[i].local);
    }
    residual += capacity[i];
  }
  // If no zone has room, Envoy takes any zone. A zone without healthy hosts would fail the
  // connection.
  if (residual == 0) {
    for (std::size_t i = 0; i < zone.size(); ++i) {
      capacity[i] = healthyOf(upstream.localities[i], false) > 0 ? 1 : 0;
      residual += capacity[i];
    }
  }
  for (std::size_t i = 0; i < zone.size(); ++i) share[i] += others * capacity[i] / residual;
  return share;
}

}  // namespace

std::vector<HostPoolPart> zoneAwareParts(const HostSet& upstream, const LocalityRules& rules) {
  if (!applies(upstream, rules)) return {};
  const bool panic = belowPanicThreshold(*rules.localCluster, rules.panicThresholdPercent);
  if (panic && !rules.zoneAware.failTrafficOnPanic) return {};
  const double enabled = std::clamp(rules.zoneAware.routingEnabledPercent / 100, 0.0, 1.0);
  std::vector<HostPoolPart> parts;
  const auto add = [&](double share, const SharedLocality* locality, HostList hosts) {
    if (share > 0) parts.push_back({share, share, locality, std::move(hosts)});
  };
  add(1 - enabled, nullptr, withHealth(allHosts(upstream), HostHealth::kHealthy));
  if (panic) {
    add(enabled, nullptr, {});
    return parts;
  }
  const auto share = shares(upstream, rules);
  for (std::size_t i = 0; i < share.size(); ++i) {
    const LocalityHosts& locality = upstream.localities[i];
    add(share[i] * enabled, locality.locality, withHealth(locality.hosts, HostHealth::kHealthy));
  }
  return parts;
}

}  // namespace sockmesh
