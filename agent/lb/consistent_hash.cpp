#include "lb/consistent_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lb/cell_table.h"
#include "lb/hash.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kUnset = UINT32_MAX;
constexpr std::uint32_t kMinBuckets = 4;  // a cell holds four words
// 16 MiB of words: a ring of the largest size has two entries a bucket then.
constexpr std::uint32_t kMaxBuckets = 1U << 22;

void appendNormalised(const HostList& hosts, double share, bool useHostname, HashHosts& result) {
  double sum = 0;
  for (const Host* host : hosts) sum += host->endpoint->weight;
  for (const Host* host : hosts) {
    result.hosts.push_back(host);
    result.entries.push_back(
        {hashKey(*host->endpoint, useHostname), share * host->endpoint->weight / sum});
  }
}

// One host's walk over the table: offset, offset + skip, ... modulo the size.
struct Permutation {
  std::uint32_t host = 0;
  double weight = 0;
  double target = 0;
  std::uint64_t next = 0;
  std::uint64_t skip = 0;
};

std::vector<Permutation> permutations(std::span<const HashHost> hosts, std::uint64_t tableSize) {
  std::vector<std::uint32_t> order(hosts.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return hosts[a].key < hosts[b].key; });
  std::vector<Permutation> result;
  for (const std::uint32_t i : order) {
    Permutation walk;
    walk.host = i;
    walk.weight = hosts[i].weight;
    walk.next = xxHash64(hosts[i].key, 0) % tableSize;
    walk.skip = tableSize > 1 ? xxHash64(hosts[i].key, 1) % (tableSize - 1) + 1 : 0;
    result.push_back(walk);
  }
  return result;
}

// The longest walk: from a bucket's start to its last possible choice, the first entry beyond it.
std::uint32_t longestWalk(const std::vector<std::uint32_t>& starts, std::uint32_t entries) {
  std::uint32_t longest = 0;
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const std::uint32_t end = b + 1 < starts.size() ? starts[b + 1] : entries;
    longest = std::max(longest, end - starts[b] + (end < entries ? 1 : 0));
  }
  return longest;
}

std::vector<std::uint32_t> bucketStarts(std::span<const RingEntry> entries, std::uint32_t buckets,
                                        std::uint32_t shift) {
  std::vector<std::uint32_t> starts(buckets);
  std::uint32_t at = 0;
  for (std::uint64_t b = 0; b < buckets; ++b) {
    while (at < entries.size() && entries[at].hash < b << shift) ++at;
    starts[b] = at;
  }
  return starts;
}

}  // namespace

std::string hashKey(const Endpoint& endpoint, bool useHostname) {
  const auto found = endpoint.lbMetadata.find("hash_key");
  if (found != endpoint.lbMetadata.end()) {
    const auto* text = std::get_if<std::string>(&found->second.value);
    if (text != nullptr && !text->empty()) return *text;
  }
  if (useHostname && !endpoint.hostname.empty()) return endpoint.hostname;
  return endpoint.address.toString();
}

HashHosts hashHosts(const HostSet& set, bool panic, bool localityWeighted, bool useHostname) {
  const auto eligible = [&](const HostList& hosts) {
    return panic ? hosts : withHealth(hosts, HostHealth::kHealthy);
  };
  HashHosts result;
  if (!localityWeighted) {
    appendNormalised(eligible(allHosts(set)), 1, useHostname, result);
    return result;
  }
  double sum = 0;
  for (const LocalityHosts& locality : set.localities) sum += locality.weight;
  for (const LocalityHosts& locality : set.localities) {
    if (locality.weight == 0) continue;
    appendNormalised(eligible(locality.hosts), locality.weight / sum, useHostname, result);
  }
  return result;
}

std::vector<std::uint32_t> maglevTable(std::span<const HashHost> hosts, std::uint64_t tableSize) {
  std::vector<Permutation> walks = permutations(hosts, tableSize);
  double heaviest = 0;
  for (const HashHost& host : hosts) heaviest = std::max(heaviest, host.weight);
  std::vector<std::uint32_t> table(tableSize, kUnset);
  std::uint64_t filled = 0;
  for (double iteration = 1; filled < tableSize; ++iteration) {
    for (Permutation& walk : walks) {
      if (filled == tableSize) break;
      // The heaviest host takes a slot in every iteration, the others in proportion.
      if (iteration * walk.weight < walk.target) continue;
      walk.target += heaviest;
      while (table[walk.next] != kUnset) {
        walk.next += walk.skip;
        if (walk.next >= tableSize) walk.next -= tableSize;
      }
      table[walk.next] = walk.host;
      ++filled;
    }
  }
  return table;
}

std::vector<RingEntry> ring(std::span<const HashHost> hosts, std::uint64_t minimumSize,
                            std::uint64_t maximumSize, HashFunction function) {
  double least = 1;
  for (const HashHost& host : hosts) least = std::min(least, host.weight);
  const double scale = std::min(std::ceil(least * static_cast<double>(minimumSize)) / least,
                                static_cast<double>(maximumSize));
  std::vector<RingEntry> entries;
  entries.reserve(static_cast<std::size_t>(std::ceil(scale)));
  double target = 0;
  double current = 0;
  for (std::uint32_t i = 0; i < hosts.size(); ++i) {
    target += scale * hosts[i].weight;
    const std::string prefix = hosts[i].key + "_";
    for (std::uint64_t k = 0; current < target; ++k, ++current) {
      const std::string text = prefix + std::to_string(k);
      entries.push_back(
          {function == HashFunction::kXxHash ? xxHash64(text) : murmurHash2(text), i});
    }
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

void appendWeights(std::span<const HashHost> hosts, CellTable& table) {
  const std::size_t first = table.cells.size();
  table.cells.resize(first + (hosts.size() + 1) / 2);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    table.cells[first + i / 2].weight_bits[i % 2] = std::bit_cast<std::uint64_t>(hosts[i].weight);
  }
}

EncodedRing encodeRing(std::span<const RingEntry> all) {
  std::vector<RingEntry> entries;
  entries.reserve(all.size());
  for (const RingEntry& entry : all) {
    if (entries.empty() || entries.back().hash != entry.hash) entries.push_back(entry);
  }
  const auto size = static_cast<std::uint32_t>(entries.size());
  std::uint32_t buckets = std::clamp(std::bit_ceil(size), kMinBuckets, kMaxBuckets);
  EncodedRing encoded;
  std::vector<std::uint32_t> starts;
  for (;; buckets *= 2) {
    encoded.shift = static_cast<std::uint32_t>(64 - std::countr_zero(buckets));
    starts = bucketStarts(entries, buckets, encoded.shift);
    if (buckets >= kMaxBuckets || longestWalk(starts, size) <= SM_RING_MAX_WALK) break;
  }
  encoded.table = wordTable(starts);
  encoded.table.size = size;
  encoded.table.cells.reserve(encoded.table.cells.size() + size);
  for (const RingEntry& entry : entries) {
    sm_cell cell{};
    cell.ring.hash = entry.hash;
    cell.ring.host = entry.host;
    encoded.table.cells.push_back(cell);
  }
  return encoded;
}

std::span<const sm_cell> ringCells(const CellTable& table, std::uint32_t shift) {
  if (shift == 0 || shift > 62) return {};
  const std::size_t first = (std::size_t{1} << (64 - shift)) / 4;
  if (table.cells.size() < first + table.size) return {};
  return std::span(table.cells).subspan(first, table.size);
}

std::uint32_t ringPick(const CellTable& table, std::uint32_t shift, std::uint64_t hash) {
  const auto cells = ringCells(table, shift);
  for (std::size_t i = wordAt(table, hash >> shift); i < cells.size(); ++i) {
    if (cells[i].ring.hash >= hash) return cells[i].ring.host;
  }
  return cells[0].ring.host;
}

}  // namespace sockmesh
