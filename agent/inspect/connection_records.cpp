// SPDX-License-Identifier: Apache-2.0
#include "inspect/connection_records.h"

#include <atomic>
#include <set>

namespace sockmesh {

std::vector<ConnectionRecord> readConnections(const KernelMaps& maps) {
  std::vector<ConnectionRecord> records;
  const std::uint32_t buckets = maps.connections.size() / SM_CONN_WAYS;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    for (std::uint32_t way = 0; way < SM_CONN_WAYS; ++way) {
      sm_connection& record = maps.connections[way * buckets + bucket];
      const std::uint64_t cookie =
          std::atomic_ref<__u64>(record.cookie).load(std::memory_order_acquire);
      if (cookie != 0) records.push_back({bucket, way, cookie, record, false});
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
