// SPDX-License-Identifier: Apache-2.0
// The connection records (conn/record.h), read for people: those in the four-way array, then those
// in conn_overflow.
#pragma once

#include <cstdint>
#include <vector>

#include "maps/kernel_maps.h"
#include "sockmesh_abi.h"

namespace sockmesh {

struct ConnectionRecord {
  std::uint32_t bucket = 0;
  std::uint32_t way = 0;
  std::uint64_t cookie = 0;  // the socket's
  sm_connection connection{};
  bool overflow = false;  // in conn_overflow: without bucket and way
};

// The records in use, by set and way. A record that is claimed or freed meanwhile may be half
// written.
std::vector<ConnectionRecord> readConnections(const KernelMaps& maps);

}  // namespace sockmesh
