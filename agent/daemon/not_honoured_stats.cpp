// SPDX-License-Identifier: Apache-2.0
#include "daemon/not_honoured_stats.h"

#include <utility>

#include "model/not_honoured.h"

namespace sockmesh {
namespace {

template <typename T>
const T* find(const Snapshot::ByName<T>& resources, const std::string& name) {
  const auto found = resources.find(name);
  return found == resources.end() ? nullptr : found->second.get();
}

template <typename T>
int notHonouredIn(const Snapshot::ByName<T>& resources, const std::string& name) {
  const T* resource = find(resources, name);
  return resource != nullptr && !resource->notHonoured.empty() ? 1 : 0;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

}  // namespace

const NotHonouredStats& NotHonouredCounter::update(std::shared_ptr<const Snapshot> snapshot) {
  Changes changed = snapshot->changed;
  if (changed.all) startAnew(*snapshot, changed);
  std::set<std::string> clusters = changed.clusters;
  for (const std::string& name : changed.listeners) countListener(*snapshot, name, clusters);
  for (const std::string& name : changed.clusters) countCluster(*snapshot, name);
  for (const std::string& name : clusters) note(*snapshot, name);
  stats_.byType = {
      {"CDS", static_cast<std::uint64_t>(
                  resources_[static_cast<std::size_t>(NotHonoured::Kind::kCluster)])},
      {"LDS", static_cast<std::uint64_t>(
                  resources_[static_cast<std::size_t>(NotHonoured::Kind::kListener)])}};
  before_ = std::move(snapshot);
  return stats_;
}

void NotHonouredCounter::startAnew(const Snapshot& snapshot, Changes& changed) {
  *this = {};
  for (const auto& [name, cluster] : snapshot.clusters) changed.clusters.insert(name);
  for (const auto& [name, listener] : snapshot.listeners) changed.listeners.insert(name);
}

// Adds to `clusters` those that it pointed at and those that it points at.
void NotHonouredCounter::countListener(const Snapshot& snapshot, const std::string& name,
                                       std::set<std::string>& clusters) {
  const auto count = [&](const Listener* listener, int by) {
    if (listener == nullptr) return;
    for (const WeightedCluster& leg : listener->route.clusters) {
      const auto legs = legs_.try_emplace(leg.name).first;
      legs->second += by;
      if (legs->second == 0) legs_.erase(legs);
      clusters.insert(leg.name);
    }
  };
  count(find(before_->listeners, name), -1);
  count(find(snapshot.listeners, name), 1);
  resources_[static_cast<std::size_t>(NotHonoured::Kind::kListener)] +=
      notHonouredIn(snapshot.listeners, name) - notHonouredIn(before_->listeners, name);
}

void NotHonouredCounter::countCluster(const Snapshot& snapshot, const std::string& name) {
  resources_[static_cast<std::size_t>(NotHonoured::Kind::kCluster)] +=
      notHonouredIn(snapshot.clusters, name) - notHonouredIn(before_->clusters, name);
}

void NotHonouredCounter::note(const Snapshot& snapshot, const std::string& cluster) {
  const Cluster* resource = legs_.contains(cluster) ? find(snapshot.clusters, cluster) : nullptr;
  const auto policies =
      resource == nullptr ? std::vector<std::string>() : layerSevenHashes(*resource);
  if (policies.empty()) {
    stats_.clustersNeedingLayer7.erase(cluster);
  } else {
    stats_.clustersNeedingLayer7[cluster] = joined(policies);
  }
}

}  // namespace sockmesh
