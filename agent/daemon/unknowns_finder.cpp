// SPDX-License-Identifier: Apache-2.0
#include "daemon/unknowns_finder.h"

#include <algorithm>

namespace sockmesh {
namespace {

const XdsTypeStats* statsOf(const XdsStats& xds, const std::string& type) {
  const auto found = std::ranges::find(xds.types, type, &XdsTypeStats::type);
  return found == xds.types.end() ? nullptr : &*found;
}

// With a VIP or without one.
bool isInForce(const Snapshot& snapshot, const std::string& listener) {
  return snapshot.listeners.contains(listener) || snapshot.leftAlone.contains(listener);
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

// `rejected`: assignments, sorted.
bool takesOneOf(const Snapshot& snapshot, const std::vector<std::string>& rejected,
                const std::string& cluster) {
  const auto found = snapshot.clusters.find(cluster);
  return found != snapshot.clusters.end() && found->second->type == DiscoveryType::kEds &&
         std::ranges::binary_search(rejected, *found->second->edsName);
}

}  // namespace

void UnknownsFinder::findTakers(const Snapshot& snapshot,
                                const std::vector<std::string>& rejected) {
  if (rejected != rejected_ || snapshot.changed.all) {
    rejected_ = rejected;
    takers_.clear();
    if (rejected_.empty()) return;
    for (const auto& [name, cluster] : snapshot.clusters) {
      if (takesOneOf(snapshot, rejected_, name)) takers_.insert(takers_.end(), name);
    }
    return;
  }
  if (rejected_.empty()) return;
  for (const std::string& name : snapshot.changed.clusters) {
    takesOneOf(snapshot, rejected_, name) ? void(takers_.insert(name)) : void(takers_.erase(name));
  }
}

// A rejected assignment ends the wait for the first one, and counts as empty.
void UnknownsFinder::addRejectedAssignments(const Snapshot& snapshot,
                                            const std::vector<std::string>& rejected,
                                            Unknowns& unknowns) {
  findTakers(snapshot, rejected);
  for (const std::string& name : takers_) {
    const auto assignment = snapshot.assignmentOf(*snapshot.clusters.at(name));
    if (!assignment || assignment->localities.empty()) unknowns.clusters.insert(name);
  }
}

Unknowns UnknownsFinder::of(const Snapshot& snapshot, const XdsStats& xds) {
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
    addRejectedAssignments(snapshot, assignments->rejectedResources, unknowns);
  }
  return unknowns;
}

}  // namespace sockmesh
