// Envoy's Maglev and ring hash tables, entry for entry.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lb/host_set.h"
#include "lb/tables.h"
#include "model/cluster.h"

namespace sockmesh {

// A host as the tables see it.
struct HashHost {
  std::string key;    // what is hashed: the hash_key metadata, the hostname or the address
  double weight = 0;  // normalised, > 0
};

// The key of an endpoint: its metadata's hash_key if that is a non-empty string, else its hostname
// where that is asked for and given, else ADDRESS:PORT.
std::string hashKey(const Endpoint& endpoint, bool useHostname);

// The hosts that take part, and their normalised weights in the same order: all of them in panic,
// else the healthy ones. With locality weights (of which those of localities without such hosts
// count in the sum, too) an endpoint has its share of its locality's share. Both are empty where
// all weights are 0.
struct HashHosts {
  HostList hosts;
  std::vector<HashHost> entries;
};
HashHosts hashHosts(const HostSet& set, bool panic, bool localityWeighted, bool useHostname);

// Host indices by slot. `tableSize` is a prime; at least one host.
std::vector<std::uint32_t> maglevTable(std::span<const HashHost> hosts, std::uint64_t tableSize);

struct RingEntry {
  std::uint64_t hash = 0;
  std::uint32_t host = 0;
  auto operator<=>(const RingEntry&) const = default;
};

// In ascending order of hash. At least one host.
std::vector<RingEntry> ring(std::span<const HashHost> hosts, std::uint64_t minimumSize,
                            std::uint64_t maximumSize, HashFunction function);

// Appends what bounded load needs to a policy's table: the weights of its hosts, as doubles.
void appendWeights(std::span<const HashHost> hosts, CellTable& table);

struct EncodedRing {
  CellTable table;  // bucket words, then ring cells: see SM_RING_MAX_WALK
  std::uint32_t shift = 0;
};

// Of entries with one hash only the first can be chosen, and neighbours of one host are one choice:
// the others are left out. So a ring that one host nearly fills is a small table.
EncodedRing encodeRing(std::span<const RingEntry> entries);

// The host index that a hash chooses, by the table as the kernel walks it.
std::uint32_t ringPick(const CellTable& table, std::uint32_t shift, std::uint64_t hash);
// The ring cells of an encoded table; none where it is too short to be one.
std::span<const sm_cell> ringCells(const CellTable& table, std::uint32_t shift);

}  // namespace sockmesh
