// SPDX-License-Identifier: Apache-2.0
// When resources expire (Resource.ttl): each receipt with a ttl starts the time anew, and a receipt
// without a ttl ends it. Knows times, no clock. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/resource_type.h"

namespace sockmesh {

class ResourceTtls {
 public:
  // Received at `now` with this ttl (at least 0), or without one.
  void received(const ResourceKey& key, std::optional<Nanos> ttl, Nanos now);
  // Removed: it expires no more.
  void removed(const ResourceKey& key) { received(key, std::nullopt, Nanos(0)); }

  // When the first of them expires; nothing: none does.
  std::optional<Nanos> next() const;
  // The resources that have expired at `now`, the earliest first. Forgets them.
  std::vector<ResourceKey> takeExpired(Nanos now);

 private:
  std::map<ResourceKey, Nanos> ends_;
  std::set<std::pair<Nanos, ResourceKey>> byEnd_;
};

}  // namespace sockmesh
