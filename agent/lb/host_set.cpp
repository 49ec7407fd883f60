// SPDX-License-Identifier: Apache-2.0
#include "lb/host_set.h"

#include <algorithm>

namespace sockmesh {
namespace {

LocalityHosts& localityOf(HostSet& set, const SharedLocality& locality) {
  for (LocalityHosts& known : set.localities) {
    if (*known.locality == locality) return known;
  }
  set.localities.push_back({&locality, 0, 0, {}});
  return set.localities.back();
}

void addHosts(HostSet& set, const LocalityEndpoints& group, const HostFacts& facts) {
  LocalityHosts& locality = localityOf(set, group.locality);
  if (group.weight != 0) locality.weight = group.weight;
  locality.unfiltered += group.endpoints.size();
  for (const Endpoint& endpoint : group.endpoints) {
    if (facts.filter && !facts.filter(endpoint)) continue;
    Host host;
    host.endpoint = &endpoint;
    host.locality = locality.locality;
    host.health = coarseHealth(endpoint.health, facts.ejected.contains(endpoint.address));
    host.excluded = endpoint.health == EdsHealth::kDraining;
    host.weight = endpoint.weight;
    if (facts.weightFactor && host.health == HostHealth::kHealthy) {
      host.weight *= facts.weightFactor(endpoint);
    }
    set.hosts.push_back(host);
  }
}

// Sets the pointers to hosts and the order of localities, once no more hosts are added.
void arrange(HostSet& set, const Locality& nodeLocality) {
  for (const Host& host : set.hosts) localityOf(set, *host.locality).hosts.push_back(&host);
  std::erase_if(set.localities, [](const LocalityHosts& one) { return one.hosts.empty(); });
  std::sort(set.localities.begin(), set.localities.end(),
            [&](const LocalityHosts& a, const LocalityHosts& b) {
              const bool aIsOwn = *a.locality == nodeLocality;
              const bool bIsOwn = *b.locality == nodeLocality;
              return aIsOwn != bIsOwn ? aIsOwn : *a.locality < *b.locality;
            });
  set.hasLocalLocality =
      !set.localities.empty() && *set.localities.front().locality == nodeLocality;
}

}  // namespace

HostHealth coarseHealth(EdsHealth health, bool ejected) {
  if (ejected || health == EdsHealth::kUnhealthy || health == EdsHealth::kDraining ||
      health == EdsHealth::kTimeout) {
    return HostHealth::kUnhealthy;
  }
  return health == EdsHealth::kDegraded ? HostHealth::kDegraded : HostHealth::kHealthy;
}

PrioritySet prioritySet(const LoadAssignment& assignment, const HostFacts& facts) {
  std::size_t levels = 1;
  for (const LocalityEndpoints& group : assignment.localities) {
    levels = std::max<std::size_t>(levels, group.priority + std::size_t{1});
  }
  PrioritySet set(levels);
  for (const LocalityEndpoints& group : assignment.localities) {
    addHosts(set[group.priority], group, facts);
  }
  for (HostSet& level : set) arrange(level, facts.nodeLocality);
  return set;
}

HostList withHealth(const HostList& hosts, HostHealth health) {
  HostList chosen;
  for (const Host* host : hosts) {
    if (host->health == health) chosen.push_back(host);
  }
  return chosen;
}

HostList allHosts(const HostSet& set) {
  HostList all;
  all.reserve(set.hosts.size());
  for (const Host& host : set.hosts) all.push_back(&host);
  return all;
}

std::size_t countExcluded(const HostList& hosts) {
  return static_cast<std::size_t>(
      std::count_if(hosts.begin(), hosts.end(), [](const Host* host) { return host->excluded; }));
}

}  // namespace sockmesh
