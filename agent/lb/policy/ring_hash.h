// SPDX-License-Identifier: Apache-2.0
// RING_HASH: the connection's hash is a place on Envoy's ring, entry for entry.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lb/hash_hosts.h"
#include "lb/policy/configured_policy.h"

namespace sockmesh {

const ConfiguredPolicy& ringHashPolicy();

struct RingEntry {
  std::uint64_t hash = 0;
  std::uint32_t host = 0;
  auto operator<=>(const RingEntry&) const = default;
};

// In ascending order of hash. At least one host.
std::vector<RingEntry> ring(std::span<const HashHost> hosts, std::uint64_t minimumSize,
                            std::uint64_t maximumSize, HashFunction function);

struct EncodedRing {
  CellTable table;  // segment words, then ring cells: see SM_RING_MAX_WALK
  std::uint32_t shift = 0;
};

// Of entries with one hash only the first can be chosen, and neighbours of one host are one choice.
// Other entries are left out. So a ring that one host nearly fills is a small table.
EncodedRing encodeRing(std::span<const RingEntry> entries);

// The host index that a hash chooses, found by the kernel's walk over the table.
std::uint32_t ringPick(const CellTable& table, std::uint32_t shift, std::uint64_t hash);
// The ring cells of an encoded table. None if the table is too short.
std::span<const sm_cell> ringCells(const CellTable& table, std::uint32_t shift);

}  // namespace sockmesh
