// SPDX-License-Identifier: Apache-2.0
#include "model/not_honoured.h"

#include <set>

namespace sockmesh {
namespace {

template <typename T>
void addNotHonoured(NotHonoured::Kind kind, const Snapshot::ByName<T>& resources,
                    std::vector<NotHonoured>& out) {
  for (const auto& [name, resource] : resources) {
    if (!resource->notHonoured.empty()) out.push_back({kind, name, resource->notHonoured});
  }
}

// A cluster that is left alone has no hash policy.
bool hashes(const Cluster& cluster) {
  return cluster.leaveAlone == LeftAloneReason::kNone && usesHash(cluster.lb.policy);
}

}  // namespace

std::vector<std::string> layerSevenHashes(const Cluster& cluster) {
  std::vector<std::string> policies;
  if (!hashes(cluster)) return policies;
  for (const LayerSevenHash& hash : cluster.lb.hashNeedsLayerSeven) policies.push_back(hash.what);
  return policies;
}

const char* kindName(NotHonoured::Kind kind) {
  return kind == NotHonoured::Kind::kCluster ? "Cluster" : "Listener";
}

std::vector<NotHonoured> notHonoured(const Snapshot& snapshot) {
  std::vector<NotHonoured> out;
  addNotHonoured(NotHonoured::Kind::kCluster, snapshot.clusters, out);
  addNotHonoured(NotHonoured::Kind::kListener, snapshot.listeners, out);
  return out;
}

std::vector<LayerSevenNeed> layerSevenNeeds(const Snapshot& snapshot) {
  std::vector<LayerSevenNeed> out;
  for (const auto& [name, listener] : snapshot.listeners) {
    if (!listener->needsLayer7.empty()) out.push_back({name, "", {}, listener->needsLayer7});
    std::set<std::string> seen;  // two legs of a split may be subsets of one cluster
    for (const WeightedCluster& leg : listener->route.clusters) {
      const auto found = snapshot.clusters.find(leg.name);
      if (found == snapshot.clusters.end()) continue;
      auto policies = layerSevenHashes(*found->second);
      if (policies.empty() || !seen.insert(leg.name).second) continue;
      out.push_back({name, leg.name, std::move(policies), {}});
    }
  }
  return out;
}

}  // namespace sockmesh
