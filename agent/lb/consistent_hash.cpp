#include "lb/consistent_hash.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <queue>

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

// Envoy's Maglev table. In each iteration the heaviest host takes a slot, the others in proportion.
// Envoy asks every host in every iteration; here a host much lighter than the heaviest one waits
// for the iteration in which it is due, so that many of them cost nothing meanwhile.
class MaglevFiller {
 public:
  MaglevFiller(std::span<const HashHost> hosts, std::uint64_t tableSize)
      : table_(tableSize, kUnset), walks_(permutations(hosts, tableSize)) {
    for (const Permutation& walk : walks_) heaviest_ = std::max(heaviest_, walk.weight);
    for (std::uint32_t i = 0; i < walks_.size(); ++i) {
      if (walks_[i].weight * kMuchLighter < heaviest_) {
        waiting_.push({1, i});
      } else {
        asked_.push_back(i);
      }
    }
  }

  std::vector<std::uint32_t> fill() {
    for (double iteration = 1; filled_ < table_.size(); ++iteration) iterate(iteration);
    return std::move(table_);
  }

 private:
  static constexpr double kMuchLighter = 16;
  struct Turn {
    double iteration = 0;  // counted in a double, as Envoy does
    std::uint32_t walk = 0;
    auto operator<=>(const Turn&) const = default;
  };

  // Hosts go by their order.
  void iterate(double iteration) {
    std::size_t at = 0;
    while (filled_ < table_.size()) {
      const bool isDue = !waiting_.empty() && waiting_.top().iteration <= iteration;
      if (isDue && (at == asked_.size() || waiting_.top().walk < asked_[at])) {
        const std::uint32_t index = waiting_.top().walk;
        waiting_.pop();
        take(walks_[index]);
        waiting_.push({dueAfter(iteration, walks_[index]), index});
      } else if (at < asked_.size()) {
        Permutation& walk = walks_[asked_[at++]];
        if (iteration * walk.weight >= walk.target) take(walk);
      } else {
        return;
      }
    }
  }

  void take(Permutation& walk) {
    walk.target += heaviest_;
    while (table_[walk.next] != kUnset) {
      walk.next += walk.skip;
      if (walk.next >= table_.size()) walk.next -= table_.size();
    }
    table_[walk.next] = walk.host;
    ++filled_;
  }

  // The first iteration after this one in which Envoy's own comparison holds. The quotient may be
  // off by its rounding.
  static double dueAfter(double iteration, const Permutation& walk) {
    double due = std::max(iteration + 1, std::floor(walk.target / walk.weight) - 1);
    while (due * walk.weight < walk.target) ++due;
    return due;
  }

  std::vector<std::uint32_t> table_;
  std::vector<Permutation> walks_;
  double heaviest_ = 0;
  std::uint64_t filled_ = 0;
  std::vector<std::uint32_t> asked_;  // in every iteration
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> waiting_;
};

// The longest walk: from a bucket's start to its last possible choice, the first entry beyond it.
std::uint32_t longestWalk(const std::vector<std::uint32_t>& starts, std::uint32_t entries) {
  std::uint32_t longest = 0;
  for (std::size_t b = 0; b < starts.size(); ++b) {
    const std::uint32_t end = b + 1 < starts.size() ? starts[b + 1] : entries;
    longest = std::max(longest, end - starts[b] + (end < entries ? 1 : 0));
  }
  return longest;
}

// "KEY_0", "KEY_1", ...: what a host's entries are the hashes of.
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

// Sorts hashes, which are spread evenly: into as many parts as there are two bytes, and these one
// by one. A ring of the largest size takes a fraction of the time that way.
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

// The entries that a choice can tell apart: of those with one hash the first, and of neighbours of
// one host the last, which is chosen for the hashes of all of them.
std::vector<RingEntry> distinguishable(std::span<const RingEntry> all) {
  std::vector<RingEntry> entries;
  for (const RingEntry& entry : all) {
    if (!entries.empty() && entries.back().hash == entry.hash) continue;
    if (!entries.empty() && entries.back().host == entry.host) entries.pop_back();
    entries.push_back(entry);
  }
  return entries;
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
  return MaglevFiller(hosts, tableSize).fill();
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

void appendWeights(std::span<const HashHost> hosts, CellTable& table) {
  const std::size_t first = table.cells.size();
  table.cells.resize(first + (hosts.size() + 1) / 2);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    table.cells[first + i / 2].weight_bits[i % 2] = std::bit_cast<std::uint64_t>(hosts[i].weight);
  }
}

EncodedRing encodeRing(std::span<const RingEntry> all) {
  const std::vector<RingEntry> entries = distinguishable(all);
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
