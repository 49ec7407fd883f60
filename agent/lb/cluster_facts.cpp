#include "lb/cluster_facts.h"

#include <algorithm>

namespace sockmesh {
namespace {

constexpr std::uint32_t kAlways = 100;  // percent

std::uint32_t leastOf(std::uint32_t a, std::uint32_t b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

std::uint32_t consecutiveThreshold(const OutlierDetection& config) {
  const auto enforced = [](std::uint32_t threshold, std::uint32_t percent) {
    return percent >= kAlways ? threshold : 0;
  };
  if (config.splitExternalLocalOriginErrors) {
    return enforced(config.consecutiveLocalOriginFailure,
                    config.enforcingConsecutiveLocalOriginFailure);
  }
  return leastOf(
      enforced(config.consecutive5xx, config.enforcingConsecutive5xx),
      enforced(config.consecutiveGatewayFailure, config.enforcingConsecutiveGatewayFailure));
}

std::uint32_t ejectionLimit(const OutlierDetection& config, std::size_t hosts) {
  const std::uint64_t percent = std::min(100U, config.maxEjectionPercent);
  auto limit = static_cast<std::uint32_t>(percent * hosts / 100);
  if (config.alwaysEjectOneHost && hosts > 0) limit = std::max(limit, 1U);
  return limit;
}

LbCluster clusterFacts(const std::string& name, const Cluster* cluster,
                       const LoadAssignment* assignment) {
  LbCluster facts;
  facts.name = name;
  if (cluster == nullptr) return facts;
  facts.connectTimeout = cluster->connectTimeout;
  if (assignment != nullptr) {
    for (const LocalityEndpoints& group : assignment->localities) {
      for (const Endpoint& endpoint : group.endpoints) {
        facts.endpoints.push_back(
            {endpoint.address, group.locality, group.priority, endpoint.weight, endpoint.health});
      }
    }
  }
  if (cluster->outlierDetection) {
    facts.consecutiveThreshold = consecutiveThreshold(*cluster->outlierDetection);
    facts.ejectionLimit = ejectionLimit(*cluster->outlierDetection, facts.endpoints.size());
  }
  return facts;
}

}  // namespace sockmesh
