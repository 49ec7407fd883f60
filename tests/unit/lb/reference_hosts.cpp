// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/reference_hosts.h"

namespace sockmesh::test {
namespace {

bool inSubset(const Endpoint& endpoint, const MetadataStruct& wanted) {
  for (const auto& [key, value] : wanted) {
    const auto found = endpoint.lbMetadata->find(key);
    if (found == endpoint.lbMetadata->end() || !(found->second == value)) return false;
  }
  return true;
}

bool subsetExists(const ModelLeg& leg, const MetadataStruct& wanted) {
  for (const auto& group : leg.assignment.localities) {
    for (const auto& endpoint : group.endpoints) {
      if (inSubset(endpoint, wanted)) return true;
    }
  }
  return false;
}

template <typename Predicate>
Hosts those(const Hosts& hosts, Predicate predicate) {
  Hosts chosen;
  for (const auto& host : hosts) {
    if (predicate(host)) chosen.push_back(host);
  }
  return chosen;
}

}  // namespace

Wanted wantedOf(const ModelLeg& leg) {
  if (!leg.cluster.lb.subset) return {};
  const SubsetConfig& config = *leg.cluster.lb.subset;
  const bool keysFit =
      leg.criteria.size() == 1 && leg.criteria.begin()->first == config.selectors[0].keys[0];
  if (keysFit && subsetExists(leg, leg.criteria)) return {false, leg.criteria};
  if (config.fallback == SubsetConfig::Fallback::kAnyEndpoint) return {};
  if (config.fallback == SubsetConfig::Fallback::kDefaultSubset &&
      subsetExists(leg, config.defaultSubset)) {
    return {false, config.defaultSubset};
  }
  return {true, {}};
}

Hosts hostsOf(const LoadAssignment& assignment, const std::set<SocketAddress>& ejected,
              const MetadataStruct& wanted) {
  Hosts hosts;
  for (const auto& group : assignment.localities) {
    for (const auto& endpoint : group.endpoints) {
      if (!inSubset(endpoint, wanted)) continue;
      ModelHost host;
      host.address = endpoint.address;
      host.locality = group.locality;
      host.priority = group.priority;
      host.weight = endpoint.weight;
      host.draining = endpoint.health == EdsHealth::kDraining;
      const bool failed = ejected.contains(endpoint.address) || host.draining ||
                          endpoint.health == EdsHealth::kUnhealthy ||
                          endpoint.health == EdsHealth::kTimeout;
      host.degraded = !failed && endpoint.health == EdsHealth::kDegraded;
      host.healthy = !failed && !host.degraded;
      hosts.push_back(host);
    }
  }
  return hosts;
}

Hosts atPriority(const Hosts& hosts, std::uint32_t priority) {
  return those(hosts, [&](const ModelHost& host) { return host.priority == priority; });
}
Hosts healthyOf(const Hosts& hosts) {
  return those(hosts, [](const ModelHost& host) { return host.healthy; });
}
Hosts degradedOf(const Hosts& hosts) {
  return those(hosts, [](const ModelHost& host) { return host.degraded; });
}
Hosts inLocality(const Hosts& hosts, const Locality& locality) {
  return those(hosts, [&](const ModelHost& host) { return host.locality == locality; });
}
Hosts notDraining(const Hosts& hosts) {
  return those(hosts, [](const ModelHost& host) { return !host.draining; });
}

std::uint64_t sum(const Hosts& hosts, bool weights) {
  std::uint64_t total = 0;
  for (const auto& host : hosts) total += weights ? host.weight : 1;
  return total;
}

}  // namespace sockmesh::test
