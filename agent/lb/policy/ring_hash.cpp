// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/ring_hash.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "lb/cell_check.h"
#include "lb/cell_table.h"
#include "lb/hash.h"
#include "lb/policy/bounded_load.h"
#include "lb/policy/hash_groups.h"
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kMinSegments = 4;  // a cell holds four words
// 16 MiB of words: a ring of the largest size has two entries a segment then.
constexpr std::uint32_t kMaxSegments = 1U << 22;

// The longest walk: from a segment's start to its last possible choice, the first entry beyond it.
std::uint32_t longestWalk(const std::vector<std::uint32_t>& starts, std::uint32_t entries) {
  std::uint32_t longest = 0;
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const std::uint32_t end = b + 1 < starts.size() ? starts[b + 1] : entries;
    longest = std::max(longest, end - starts[b] + (end < entries ? 1 : 0));
  }
  return longest;
}

// "KEY_0", "KEY_1", ...: the texts whose hashes are a host's entries.
class NumberedKey {
 public:
  explicit NumberedKey(const std::string& key) : text_(key + "_"), length_(text_.size()) {
    text_.resize(length_ + 20);  // digits of a 64-bit number
  }
  // Valid until the next call.
  std::string_view numbered(std::uint64_t number) {
    char* end = std::to_chars(text_.data() + length_, text_.data() + text_.size(), number).ptr;
    return {text_.data(), static_cast<std::size_t>(end - text_.data())};
  }

 private:
  std::string text_;
  std::size_t length_;
};

// Sorts hashes, which are spread evenly: first into 65,536 parts by their upper two bytes, and then
// each part. For a ring of the largest size this takes a fraction of the time.
std::vector<RingEntry> sorted(std::vector<RingEntry> entries) {
  constexpr std::size_t kParts = 65536;
  constexpr unsigned kShift = 48;
  if (entries.size() < kParts) {
    std::sort(entries.begin(), entries.end());
    return entries;
  }
  std::vector<std::size_t> ends(kParts + 1);
  for (const RingEntry& entry : entries) ++ends[(entry.hash >> kShift) + 1];
  for (std::size_t part = 1; part <= kParts; ++part) ends[part] += ends[part - 1];
  std::vector<RingEntry> parts(entries.size());
  for (const RingEntry& entry : entries) parts[ends[entry.hash >> kShift]++] = entry;
  // `ends` has moved on by one part: it holds their ends now.
  std::size_t begin = 0;
  for (std::size_t part = 0; part < kParts; ++part) {
    std::sort(parts.begin() + static_cast<std::ptrdiff_t>(begin),
              parts.begin() + static_cast<std::ptrdiff_t>(ends[part]));
    begin = ends[part];
  }
  return parts;
}

// Keeps the entries that a choice can tell apart: the first of entries with one hash, and the last
// of neighbours of one host, which is chosen for the hashes of all of them.
std::vector<RingEntry> distinguishable(std::span<const RingEntry> all) {
  std::vector<RingEntry> entries;
  for (const RingEntry& entry : all) {
    if (!entries.empty() && entries.back().hash == entry.hash) continue;
    if (!entries.empty() && entries.back().host == entry.host) entries.pop_back();
    entries.push_back(entry);
  }
  return entries;
}

std::vector<std::uint32_t> segmentStarts(std::span<const RingEntry> entries, std::uint32_t segments,
                                         std::uint32_t shift) {
  std::vector<std::uint32_t> starts(segments);
  std::uint32_t at = 0;
  for (std::uint64_t b = 0; b < segments; ++b) {
    while (at < entries.size() && entries[at].hash < b << shift) ++at;
    starts[b] = at;
  }
  return starts;
}

// Four segments at least (sockmesh_abi.h); another shift is a broken map's.
bool isShift(std::uint32_t shift) {
  return shift >= 32 && shift <= 62;
}

constexpr std::uint64_t segmentsOf(std::uint32_t shift) {
  return 1ULL << (64 - shift);
}

// The share of the hashes above the cell before each cell, up to its own, by host.
std::vector<double> arcShares(std::span<const sm_cell> cells, std::size_t hosts) {
  std::vector<double> shares(hosts, 0.0);
  if (cells.empty()) return shares;
  std::uint64_t before = cells.back().ring.hash;
  for (const sm_cell& cell : cells) {
    const std::uint64_t arc = cell.ring.hash - before;  // wraps at the first
    before = cell.ring.hash;
    if (cell.ring.host >= shares.size()) continue;
    shares[cell.ring.host] += cells.size() == 1 ? 1.0 : std::ldexp(static_cast<double>(arc), -64);
  }
  return shares;
}

class RingHash final : public ConfiguredPolicy {
 public:
  std::string_view name() const override { return policyName(LbPolicy::kRingHash); }
  bool usesHash() const override { return true; }

  PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const override {
    const LoadBalancing& lb = context.cluster.lb;
    return hashGroups(context, hosts, [&lb](std::span<const HashHost> entries, LbGroup& group) {
      const auto made = ring(entries, lb.minimumRingSize, lb.maximumRingSize, lb.hashFunction);
      // Envoy accepts a minimum_ring_size of 0. It makes a ring without hosts.
      if (made.empty()) return CellTable{};
      EncodedRing encoded = encodeRing(made);
      group.policy = SM_POLICY_RING_HASH;
      group.ringShift = encoded.shift;
      return std::move(encoded.table);
    });
  }

  std::uint32_t cellCount(const TableShape& shape) const override {
    if (!isShift(shape.ringShift)) return shape.size;
    return wordCellCount(segmentsOf(shape.ringShift)) + shape.size + boundedLoadCells(shape);
  }

  Status check(const LbGroup& group, std::size_t) const override;

  std::vector<double> shares(const LbGroup& group, std::size_t entries) const override {
    if (!group.table) return {};
    return arcShares(ringCells(*group.table, group.ringShift), entries);
  }

  std::optional<std::uint32_t> pick(const LbGroup& group, std::uint64_t hash) const override {
    return ringPick(*group.table, group.ringShift, hash);
  }

  std::vector<std::string> parameters(const LbGroup& group) const override {
    return boundedLoadParameters(group);
  }

  void describeCells(const LbGroup& group, const CellVisitor& visit) const override;
};

Status RingHash::check(const LbGroup& group, std::size_t) const {
  if (auto ok = checkHosts(group); !ok) return ok;
  if (!group.table || group.table->size == 0) return Error("no table");
  if (!isShift(group.ringShift)) return Error("ring_shift: " + std::to_string(group.ringShift));
  if (auto ok = checkTable(group); !ok) return ok;
  const std::uint64_t segments = segmentsOf(group.ringShift);
  // A segment may point past the last cell: the walk then wraps to the first.
  if (auto ok = checkWords(group.table->cells, segments, group.table->size + 1ULL); !ok) return ok;
  const std::size_t first = wordCellCount(segments);
  for (std::size_t i = first; i < first + group.table->size; ++i) {
    const std::uint32_t host = group.table->cells[i].ring.host;
    if (host >= group.hosts.size()) return outOfBounds("ring", i, host, group.hosts.size());
  }
  return {};
}

void RingHash::describeCells(const LbGroup& group, const CellVisitor& visit) const {
  const std::uint64_t segments = segmentsOf(group.ringShift);
  describeWords("ring buckets", group.table->cells, segments, visit);
  std::uint32_t at = wordCellCount(segments);
  std::uint64_t index = 0;
  for (const sm_cell& cell : ringCells(*group.table, group.ringShift)) {
    visit({.cell = at++,
           .use = "ring",
           .index = index++,
           .value = std::to_string(cell.ring.hash) + " host " + std::to_string(cell.ring.host)});
  }
  describeBoundedLoad(group, visit);
}

}  // namespace

const ConfiguredPolicy& ringHashPolicy() {
  static const RingHash policy;
  return policy;
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
    NumberedKey key(hosts[i].key);
    for (std::uint64_t k = 0; current < target; ++k, ++current) {
      const std::string_view text = key.numbered(k);
      entries.push_back(
          {function == HashFunction::kXxHash ? xxHash64(text) : murmurHash2(text), i});
    }
  }
  return sorted(std::move(entries));
}

EncodedRing encodeRing(std::span<const RingEntry> all) {
  const std::vector<RingEntry> entries = distinguishable(all);
  const auto size = static_cast<std::uint32_t>(entries.size());
  std::uint32_t segments = std::clamp(std::bit_ceil(size), kMinSegments, kMaxSegments);
  EncodedRing encoded;
  std::vector<std::uint32_t> starts;
  for (;; segments *= 2) {
    encoded.shift = static_cast<std::uint32_t>(64 - std::countr_zero(segments));
    starts = segmentStarts(entries, segments, encoded.shift);
    if (segments >= kMaxSegments || longestWalk(starts, size) <= SM_RING_MAX_WALK) break;
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
