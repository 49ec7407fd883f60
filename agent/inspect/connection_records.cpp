// SPDX-License-Identifier: Apache-2.0
#include "inspect/connection_records.h"

#include <atomic>
#include <set>

namespace sockmesh {

std::vector<ConnectionRecord> readConnections(const KernelMaps& maps) {
  std::vector<ConnectionRecord> records;
  const std::uint32_t buckets = maps.connTags.size();
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    for (std::uint32_t way = 0; way < SM_CONN_WAYS; ++way) {
      const std::uint64_t cookie =
          std::atomic_ref<__u64>(maps.connTags[bucket].cookie[way]).load(std::memory_order_acquire);
      const std::uint32_t index = way * buckets + bucket;
      if (cookie == 0 || index >= maps.connections.size()) continue;
      records.push_back({bucket, way, cookie, maps.connections[index], false});
    }
  }
  if (maps.globals[0].conn_overflow_live == 0) return records;
  const auto overflow = maps.connOverflow.entries();
  if (!overflow) return records;
  std::set<std::uint64_t> seen;
  for (const auto& [cookie, connection] : *overflow) {
    if (seen.insert(cookie).second) records.push_back({0, 0, cookie, connection, true});
  }
  return records;
}

}  // namespace sockmesh
