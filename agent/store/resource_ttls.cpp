// SPDX-License-Identifier: Apache-2.0
#include "store/resource_ttls.h"

namespace sockmesh {

void ResourceTtls::received(const ResourceKey& key, std::optional<Nanos> ttl, Nanos now) {
  if (const auto known = ends_.find(key); known != ends_.end()) {
    byEnd_.erase({known->second, key});
    ends_.erase(known);
  }
  if (!ttl) return;
  ends_.emplace(key, now + *ttl);
  byEnd_.emplace(now + *ttl, key);
}

std::optional<Nanos> ResourceTtls::next() const {
  if (byEnd_.empty()) return std::nullopt;
  return byEnd_.begin()->first;
}

std::vector<ResourceKey> ResourceTtls::takeExpired(Nanos now) {
  std::vector<ResourceKey> expired;
  while (!byEnd_.empty() && byEnd_.begin()->first <= now) {
    expired.push_back(byEnd_.begin()->second);
    ends_.erase(expired.back());
    byEnd_.erase(byEnd_.begin());
  }
  return expired;
}

}  // namespace sockmesh
