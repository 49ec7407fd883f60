// SPDX-License-Identifier: Apache-2.0
// The control plane's resources against the tables.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "inspect/drift.h"
#include "inspect/drift_list.h"
#include "lb/cluster_facts.h"

namespace sockmesh {
namespace {

using Owners = std::map<VipKey, std::pair<VipSource, std::string>>;

// Of listeners that claim one VIP, the first by source and then by name owns it.
Owners ownersOf(const Snapshot& snapshot) {
  Owners owners;
  for (const auto& [name, listener] : snapshot.listeners) {
    if (listener->route.clusters.empty()) continue;
    const std::pair claim(listener->source, *name);
    for (const Vip& vip : listener->addresses) {
      const auto known = owners.emplace(VipKey{vip, listener->protocol}, claim).first;
      if (claim < known->second) known->second = claim;
    }
  }
  return owners;
}

// Adds what listeners leave out inside the ranges of services. Of several parts the first owns it.
void addHoles(const Snapshot& snapshot, Owners& owners) {
  std::vector<Vip> ranges;
  for (const auto& [key, owner] : owners) {
    if (key.vip.isRange()) ranges.push_back(key.vip);
  }
  if (ranges.empty()) return;
  std::map<VipKey, std::string> holes;
  const auto add = [&](const std::string& name, const std::vector<Vip>& vips) {
    for (const Vip& vip : vips) {
      const auto has = [&](const Vip& range) { return range != vip && range.contains(vip); };
      if (std::ranges::none_of(ranges, has)) continue;
      const auto known = holes.emplace(VipKey{vip, Protocol::kTcp}, name).first;
      known->second = std::min(known->second, name);
    }
  };
  for (const auto& [name, listener] : snapshot.listeners) add(name, listener->holes);
  for (const auto& [name, left] : snapshot.leftAlone) add(name, left->holes);
  for (const auto& [key, name] : holes) owners.emplace(key, std::pair(VipSource::kAddress, name));
}

std::set<std::string> routedClusters(const Snapshot& snapshot) {
  std::set<std::string> names;
  for (const auto& [name, listener] : snapshot.listeners) {
    for (const WeightedCluster& leg : listener->route.clusters) names.insert(leg.name);
  }
  return names;
}

void compareServices(const Snapshot& snapshot, const LbTables& compiled, DriftList& list) {
  Owners owners = ownersOf(snapshot);
  addHoles(snapshot, owners);
  for (const auto& [key, owner] : owners) {
    list.about("Service", driftName(key));
    const auto service = compiled.services.find(key);
    if (service == compiled.services.end()) {
      list.missing();
    } else {
      list.compare("name", owner.second, service->second->name);
    }
  }
  for (const auto& [key, service] : compiled.services) {
    if (owners.contains(key)) continue;
    list.about("Service", driftName(key));
    list.unexpected();
  }
}

// An assignment with endpoint_stale_after counts as empty after a while.
bool isStale(const LoadAssignment* assignment, const LbCluster& facts) {
  return assignment != nullptr && assignment->endpointStaleAfter && facts.endpoints.empty();
}

void compareCluster(const Snapshot& snapshot, const std::string& name, const LbTables& compiled,
                    DriftList& list) {
  const auto facts = compiled.clusters.find(name);
  if (facts == compiled.clusters.end()) {
    list.about("Cluster", name);
    return list.missing();
  }
  const auto cluster = snapshot.clusters.find(name);
  const bool known = cluster != snapshot.clusters.end();
  const auto assignment = known ? snapshot.assignmentOf(*cluster->second) : nullptr;
  if (isStale(assignment.get(), *facts->second)) return;
  const auto wanted = clusterFacts(name, known ? cluster->second.get() : nullptr, assignment);
  if (!(wanted == *facts->second)) compareClusters(wanted, *facts->second, list);
}

}  // namespace

std::vector<Drift> driftFromControlPlane(const Snapshot& snapshot, const LbTables& compiled) {
  DriftList list(Drift::Between::kControlPlaneAndTables);
  compareServices(snapshot, compiled, list);
  const auto names = routedClusters(snapshot);
  for (const std::string& name : names) compareCluster(snapshot, name, compiled, list);
  return list.take();
}

}  // namespace sockmesh
