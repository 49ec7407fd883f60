// SPDX-License-Identifier: Apache-2.0
// The control plane's resources against the tables.
#include <map>
#include <set>
#include <utility>

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
    const std::pair claim(listener->source, name);
    for (const SocketAddress& vip : listener->addresses) {
      const auto known = owners.emplace(VipKey{vip, listener->protocol}, claim).first;
      if (claim < known->second) known->second = claim;
    }
  }
  return owners;
}

std::set<std::string> routedClusters(const Snapshot& snapshot) {
  std::set<std::string> names;
  for (const auto& [name, listener] : snapshot.listeners) {
    for (const WeightedCluster& leg : listener->route.clusters) names.insert(leg.name);
  }
  return names;
}

void compareServices(const Snapshot& snapshot, const LbTables& compiled, DriftList& list) {
  const Owners owners = ownersOf(snapshot);
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
  const auto wanted = clusterFacts(name, known ? cluster->second.get() : nullptr, assignment.get());
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
