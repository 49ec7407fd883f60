// SPDX-License-Identifier: Apache-2.0
#include "lb/cluster_facts.h"

#include <algorithm>
#include <vector>

namespace sockmesh {
namespace {

ConsecutiveRule rule(Detector detector, std::uint32_t threshold, std::uint32_t enforcingPercent) {
  if (threshold == 0) return {};
  return {threshold, enforcingPercent, detector};
}

// An address given twice is one host.
std::size_t hostCount(const LbEndpoints& endpoints) {
  std::vector<SocketAddress> hosts;
  hosts.reserve(endpoints.size());
  for (const LbEndpoint& endpoint : endpoints) hosts.push_back(endpoint.address);
  std::ranges::sort(hosts);
  return static_cast<std::size_t>(std::unique(hosts.begin(), hosts.end()) - hosts.begin());
}

}  // namespace

EjectionRules ejectionRules(const OutlierDetection& config, std::size_t hosts) {
  EjectionRules rules;
  if (config.splitExternalLocalOriginErrors) {
    rules.consecutive[0] =
        rule(Detector::kConsecutiveLocalOriginFailure, config.consecutiveLocalOriginFailure,
             config.enforcingConsecutiveLocalOriginFailure);
  } else {
    rules.consecutive[0] =
        rule(Detector::kConsecutiveGatewayFailure, config.consecutiveGatewayFailure,
             config.enforcingConsecutiveGatewayFailure);
    rules.consecutive[1] =
        rule(Detector::kConsecutive5xx, config.consecutive5xx, config.enforcingConsecutive5xx);
  }
  rules.limit = ejectionLimit(config, hosts);
  rules.base = config.baseEjectionTime;
  rules.max = config.maxEjectionTime;
  rules.jitter = std::chrono::floor<std::chrono::milliseconds>(config.maxEjectionTimeJitter);
  rules.interval = config.interval;
  return rules;
}

std::uint32_t ejectionLimit(const OutlierDetection& config, std::size_t hosts) {
  const std::uint64_t percent = std::min(100U, config.maxEjectionPercent);
  auto limit = static_cast<std::uint32_t>(percent * hosts / 100);
  if (config.alwaysEjectOneHost && hosts > 0) limit = std::max(limit, 1U);
  return limit;
}

LbCluster clusterFacts(const std::string& name, const Cluster* cluster,
                       const std::shared_ptr<const LoadAssignment>& assignment) {
  LbCluster facts;
  facts.name = name;
  if (cluster == nullptr) return facts;
  facts.connectTimeout = cluster->connectTimeout;
  facts.endpoints = LbEndpoints(assignment);
  if (cluster->outlierDetection) {
    facts.ejection = ejectionRules(*cluster->outlierDetection, hostCount(facts.endpoints));
  }
  return facts;
}

}  // namespace sockmesh
