// SPDX-License-Identifier: Apache-2.0
#include "writer/held_services.h"

#include <utility>

namespace sockmesh {

void HeldServices::count(SharedMap<std::uint32_t>& counts, const std::string& name, bool more) {
  std::uint32_t& one = counts[name];
  one += more ? 1U : -1U;
  if (one == 0) counts.erase(name);
}

// Counts a service that is in the books, or discounts it.
void HeldServices::enter(const VipKey& key, bool more) {
  const HeldService& held = held_.at(key);
  const std::set<std::string>& named = named_.at(key);
  for (const std::string& cluster : named) count(ledTo_, cluster, more);
  for (const std::string& cluster : held.clusters) count(summary_.clusters, cluster, more);
  if (held.clusters.empty()) count(summary_.listeners, held.name, more);
  touched_.insert(named.begin(), named.end());
  touched_.insert(held.clusters.begin(), held.clusters.end());
}

void HeldServices::hold(const HeldService& held, const LbService& inKernel) {
  release(held.key);
  held_.emplace(held.key, held);
  named_.emplace(held.key, clustersOf(inKernel));
  enter(held.key, true);
  summary_.services = held_.size();
}

void HeldServices::release(const VipKey& key) {
  if (!held_.contains(key)) return;
  enter(key, false);
  held_.erase(key);
  named_.erase(key);
  summary_.services = held_.size();
}

std::set<std::string> HeldServices::takeTouched() {
  return std::exchange(touched_, {});
}

}  // namespace sockmesh
