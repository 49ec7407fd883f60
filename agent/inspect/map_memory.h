// SPDX-License-Identifier: Apache-2.0
// What the maps take memory for.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "stats/datapath_stats.h"

namespace sockmesh {

// Bytes of kernel memory, by what makes them more.
struct MapMemory {
  std::uint64_t services = 0;     // VIPs, and the tables that they lead to
  std::uint64_t clusters = 0;     // state and counters of each cluster
  std::uint64_t endpoints = 0;    // the same of each endpoint
  std::uint64_t names = 0;        // of services, clusters and localities
  std::uint64_t connections = 0;  // records, flows and affinity; mostly by the configured sizes
  std::uint64_t cpus = 0;         // maps with an entry for each CPU
  std::uint64_t other = 0;        // the same on every node

  struct Share {
    std::string_view of;  // "services"
    std::uint64_t bytes = 0;
  };
  // All of them, in the order above.
  std::array<Share, 7> shares() const;
};

// `maps` as LiveState has them. A map that no other member is for counts as `other`.
MapMemory mapMemory(const std::vector<MapUsage>& maps);

}  // namespace sockmesh
