// SPDX-License-Identifier: Apache-2.0
#include "daemon/unknowns.h"

#include <algorithm>

namespace sockmesh {
namespace {

const XdsTypeStats* statsOf(const XdsStats& xds, const std::string& type) {
  const auto found = std::ranges::find(xds.types, type, &XdsTypeStats::type);
  return found == xds.types.end() ? nullptr : &*found;
}

// With a VIP or without one.
bool isInForce(const Snapshot& snapshot, const std::string& listener) {
  if (snapshot.listeners.contains(listener)) return true;
  return std::ranges::any_of(snapshot.leftAlone,
                             [&](const LeftAlone& one) { return one.name == listener; });
}

// The VIPs of a listener may be in routes that have not come, or that were rejected.
void addMissingRoutes(const Snapshot& snapshot, const XdsTypeStats* routes, Unknowns& unknowns) {
  for (const MissingRoutes& one : snapshot.missingRoutes) {
    const bool rejected =
        routes != nullptr && std::ranges::binary_search(routes->rejectedResources, one.routeConfig);
    if (!one.countsAsEmpty || rejected) unknowns.listeners.insert(one.listener);
  }
}

// A listener may lead to the cluster whose name could not be read.
void addMissingClusters(const Snapshot& snapshot, Unknowns& unknowns) {
  for (const auto& [name, listener] : snapshot.listeners) {
    for (const WeightedCluster& leg : listener->route.clusters) {
      if (!snapshot.clusters.contains(leg.name)) unknowns.clusters.insert(leg.name);
    }
  }
}

// A rejected assignment ends the wait for the first one, and counts as empty.
void addRejectedAssignments(const Snapshot& snapshot, const XdsTypeStats& assignments,
                            Unknowns& unknowns) {
  if (assignments.rejectedResources.empty()) return;
  for (const auto& [name, cluster] : snapshot.clusters) {
    if (cluster->type != DiscoveryType::kEds) continue;
    if (!std::ranges::binary_search(assignments.rejectedResources, cluster->edsName)) continue;
    const auto assignment = snapshot.assignmentOf(*cluster);
    if (!assignment || assignment->localities.empty()) unknowns.clusters.insert(name);
  }
}

}  // namespace

Unknowns unknownsOf(const Snapshot& snapshot, const XdsStats& xds) {
  Unknowns unknowns;
  if (const XdsTypeStats* listeners = statsOf(xds, "LDS")) {
    unknowns.anyListener = listeners->unnamedRejected;
    for (const std::string& name : listeners->rejectedResources) {
      if (isInForce(snapshot, name)) continue;
      unknowns.listeners.insert(name);
    }
  }
  addMissingRoutes(snapshot, statsOf(xds, "RDS"), unknowns);
  if (const XdsTypeStats* clusters = statsOf(xds, "CDS")) {
    for (const std::string& name : clusters->rejectedResources) {
      if (!snapshot.clusters.contains(name)) unknowns.clusters.insert(name);
    }
    if (clusters->unnamedRejected) addMissingClusters(snapshot, unknowns);
  }
  if (const XdsTypeStats* assignments = statsOf(xds, "EDS")) {
    addRejectedAssignments(snapshot, *assignments, unknowns);
  }
  return unknowns;
}

}  // namespace sockmesh
