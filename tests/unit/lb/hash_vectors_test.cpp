// SPDX-License-Identifier: Apache-2.0
// Known answers of Envoy's hash functions, Maglev and ring hash.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "lb/cell_table.h"
#include "lb/hash.h"
#include "lb/hash_hosts.h"
#include "lb/policy/maglev.h"
#include "lb/policy/ring_hash.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;

std::vector<HashHost> hashHostsOf(const std::vector<std::string>& keys,
                                  const std::vector<double>& weights = {}) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  std::vector<HashHost> hosts;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    hosts.push_back(
        {keys[i], weights.empty() ? 1.0 / static_cast<double>(keys.size()) : weights[i] / sum});
  }
  return hosts;
}

const std::vector<std::string> kThree = {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"};
const std::vector<std::string> kSix = {"127.0.0.1:90", "127.0.0.1:91", "127.0.0.1:92",
                                       "127.0.0.1:93", "127.0.0.1:94", "127.0.0.1:95"};

std::vector<std::uint32_t> counts(const std::vector<std::uint32_t>& picks, std::size_t hosts) {
  std::vector<std::uint32_t> result(hosts, 0);
  for (const std::uint32_t pick : picks) ++result[pick];
  return result;
}

std::uint32_t crc32(const std::vector<std::uint32_t>& bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::uint32_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

TEST(Hash, XxHash64) {
  EXPECT_EQ(xxHash64(""), 0xef46db3751d8e999ULL);
  EXPECT_EQ(xxHash64("10.0.0.1:80"), 0x11facba8043b217ULL);
  EXPECT_EQ(xxHash64("10.0.0.2:80"), 0xcb0d0ee5a6a29d16ULL);
  EXPECT_EQ(xxHash64("10.0.0.3:80"), 0xcff744675f59860eULL);
  EXPECT_EQ(xxHash64("10.0.0.1:80", 1), 0xa456919bcbffaa92ULL);
  EXPECT_EQ(xxHash64("10.0.0.2:80", 1), 0x11454a3708eb8461ULL);
  EXPECT_EQ(xxHash64("10.0.0.3:80", 1), 0xf18ae419c165c927ULL);
  EXPECT_EQ(xxHash64("10.1.2.3"), 0x43bc2967acb25af4ULL);
  EXPECT_EQ(xxHash64("192.168.1.10"), 0xa9a745ddd278c452ULL);
  EXPECT_EQ(xxHash64("127.0.0.1"), 0xc08b1587df65b7a7ULL);
  EXPECT_EQ(xxHash64("2001:db8::1"), 0x26c33ef1c67e1031ULL);
  EXPECT_EQ(xxHash64("::1"), 0x59661e2585f0146fULL);
}

TEST(Hash, MurmurHash2) {
  EXPECT_EQ(murmurHash2("10.0.0.1:80"), 0xbfbc45c9f4269b08ULL);
  EXPECT_EQ(murmurHash2("10.0.0.2:80"), 0xc14c4bcab7bb6b90ULL);
  EXPECT_EQ(murmurHash2("10.0.0.3:80"), 0xb1adcb29b1face9ULL);
  // libstdc++'s std::hash<std::string> on 64 bit is the same function.
  for (const char* text : {"", "a", "1234567", "12345678", "123456789", "0123456789abcdef"}) {
    EXPECT_EQ(murmurHash2(text), std::hash<std::string>{}(text)) << text;
  }
}

TEST(Maglev, SmallTableOfSixEqualHosts) {
  EXPECT_EQ(maglevTable(hashHostsOf(kSix), 7), (std::vector<std::uint32_t>{2, 4, 0, 1, 5, 0, 3}));
}

TEST(Maglev, DefaultTableOfThreeEqualHosts) {
  const auto table = maglevTable(hashHostsOf(kThree), 65537);
  EXPECT_EQ(counts(table, 3), (std::vector<std::uint32_t>{21846, 21846, 21845}));
  EXPECT_EQ(std::vector(table.begin(), table.begin() + 8),
            (std::vector<std::uint32_t>{2, 1, 2, 2, 1, 1, 0, 2}));
  EXPECT_EQ(crc32(table), 0xa89b423bU);
  for (const char* source : {"10.1.2.3", "192.168.1.10", "2001:db8::1"}) {
    EXPECT_EQ(table[xxHash64(source) % 65537], 1U) << source;
  }
  EXPECT_EQ(xxHash64("10.1.2.3") % 65537, 37870U);
}

TEST(Maglev, Weights) {
  EXPECT_EQ(counts(maglevTable(hashHostsOf(kThree, {1, 2, 1}), 65537), 3),
            (std::vector<std::uint32_t>{16385, 32768, 16384}));
  EXPECT_EQ(counts(maglevTable(hashHostsOf({kThree[0], kThree[1]}, {1, 2}), 65537), 2),
            (std::vector<std::uint32_t>{21846, 43691}));
}

TEST(Ring, ThreeEqualHosts) {
  const auto hosts = hashHostsOf(kThree);
  const auto entries = ring(hosts, 1024, 8388608, HashFunction::kXxHash);
  ASSERT_EQ(entries.size(), 1026U);
  EXPECT_EQ(entries.front().hash, 0x674c93dec902e6ULL);
  EXPECT_EQ(entries.front().host, 2U);
  const EncodedRing encoded = encodeRing(entries);
  EXPECT_EQ(ringPick(encoded.table, encoded.shift, xxHash64("10.1.2.3")), 2U);
  EXPECT_EQ(ringPick(encoded.table, encoded.shift, xxHash64("192.168.1.10")), 0U);
  EXPECT_EQ(ringPick(encoded.table, encoded.shift, xxHash64("2001:db8::1")), 0U);
}

std::vector<std::uint32_t> entriesByHost(const std::vector<RingEntry>& entries, std::size_t hosts) {
  std::vector<std::uint32_t> picks;
  for (const RingEntry& entry : entries) picks.push_back(entry.host);
  return counts(picks, hosts);
}

TEST(Ring, SizeFollowsWeightsAndBounds) {
  const auto size = [](std::vector<double> weights, std::uint64_t least, std::uint64_t most) {
    return entriesByHost(ring(hashHostsOf({kSix.begin(), kSix.begin() + weights.size()}, weights),
                              least, most, HashFunction::kXxHash),
                         weights.size());
  };
  EXPECT_EQ(size({1, 2, 1}, 1024, 8388608), (std::vector<std::uint32_t>{256, 512, 256}));
  EXPECT_EQ(size({1, 99}, 1024, 8388608), (std::vector<std::uint32_t>{11, 1089}));
  EXPECT_EQ(size({1, 1, 1, 1}, 6, 6), (std::vector<std::uint32_t>{2, 1, 2, 1}));
}

TEST(Ring, OrderOfTwelveEntries) {
  const auto entries = ring(hashHostsOf(kSix), 12, 8388608, HashFunction::kXxHash);
  std::vector<std::uint32_t> ports;
  for (const RingEntry& entry : entries) ports.push_back(90 + entry.host);
  EXPECT_EQ(ports, (std::vector<std::uint32_t>{94, 92, 90, 95, 93, 91, 91, 93, 95, 92, 94, 90}));
  EXPECT_EQ(entries.front().hash, 833437586790550860ULL);
}

// The segments must lead to the entry that a plain search of the ring finds, at every edge.
TEST(Ring, EncodedTableAgreesWithTheRing) {
  std::mt19937_64 random(1);
  for (const std::uint64_t size : {1U, 3U, 12U, 1026U, 50000U}) {
    const auto entries = ring(hashHostsOf(kSix), size, 8388608, HashFunction::kMurmurHash2);
    const EncodedRing encoded = encodeRing(entries);
    std::vector<std::uint64_t> hashes = {0, 1, UINT64_MAX, UINT64_MAX - 1};
    for (int i = 0; i < 2000; ++i) hashes.push_back(random());
    for (int i = 0; i < 500; ++i) {
      const std::uint64_t hash = entries[random() % entries.size()].hash;
      hashes.insert(hashes.end(), {hash - 1, hash, hash + 1});
    }
    for (const std::uint64_t hash : hashes) {
      const auto found = std::find_if(entries.begin(), entries.end(),
                                      [&](const RingEntry& entry) { return entry.hash >= hash; });
      const std::uint32_t expected = found == entries.end() ? entries[0].host : found->host;
      ASSERT_EQ(ringPick(encoded.table, encoded.shift, hash), expected) << size << " " << hash;
    }
  }
}

TEST(Ring, WalksStayWithinTheKernelsBound) {
  // All hosts hash alike (one hostname for all): sixty entries at each point, of which the first
  // host has all that are in use.
  const auto entries =
      ring(hashHostsOf(std::vector<std::string>(60, "same")), 6000, 8388608, HashFunction::kXxHash);
  const EncodedRing encoded = encodeRing(entries);
  EXPECT_EQ(encoded.table.size, 1U);
  for (const auto& one :
       {entries, ring(hashHostsOf(kSix), 200000, 8388608, HashFunction::kXxHash)}) {
    const EncodedRing table = encodeRing(one);
    const auto cells = ringCells(table.table, table.shift);
    const std::uint64_t buckets = std::uint64_t{1} << (64 - table.shift);
    for (std::uint64_t b = 0; b < buckets; ++b) {
      const std::uint64_t end = b + 1 == buckets ? UINT64_MAX : ((b + 1) << table.shift) - 1;
      std::size_t at = wordAt(table.table, b);
      std::size_t steps = 0;
      while (at < cells.size() && ++steps && cells[at].ring.hash < end) ++at;
      ASSERT_LE(steps, static_cast<std::size_t>(SM_RING_MAX_WALK));
    }
  }
}

// As long as Envoy's ring may be, and nearly all of it one host's: a table of three cells.
TEST(Ring, AHostThatNearlyFillsItTakesFewCells) {
  const auto entries =
      ring(hashHostsOf({kSix[0], kSix[1]}, {1, 4e9}), 1024, 8388608, HashFunction::kXxHash);
  EXPECT_EQ(entries.size(), 8388608U);
  EXPECT_TRUE(std::is_sorted(entries.begin(), entries.end()));
  const EncodedRing encoded = encodeRing(entries);
  EXPECT_LE(encoded.table.cells.size(), 4U);
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t hash = i % 2 == 0 ? random() : entries[random() % entries.size()].hash;
    const auto found = std::lower_bound(entries.begin(), entries.end(), RingEntry{hash, 0});
    const RingEntry& wanted = found == entries.end() ? entries.front() : *found;
    ASSERT_EQ(ringPick(encoded.table, encoded.shift, hash), wanted.host);
  }
}

// Envoy's own loop, which asks every host in every iteration.
std::vector<std::uint32_t> envoysMaglev(const std::vector<HashHost>& hosts, std::uint64_t size) {
  std::vector<std::size_t> order(hosts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return hosts[a].key < hosts[b].key; });
  double heaviest = 0;
  for (const HashHost& host : hosts) heaviest = std::max(heaviest, host.weight);
  std::vector<double> target(hosts.size(), 0);
  std::vector<std::uint64_t> steps(hosts.size(), 0);
  std::vector<std::uint32_t> table(size, UINT32_MAX);
  std::uint64_t filled = 0;
  for (double iteration = 1; filled < size; ++iteration) {
    for (const std::size_t i : order) {
      if (filled == size) break;
      if (iteration * hosts[i].weight < target[i]) continue;
      target[i] += heaviest;
      const std::uint64_t offset = xxHash64(hosts[i].key, 0) % size;
      const std::uint64_t skip = size > 1 ? xxHash64(hosts[i].key, 1) % (size - 1) + 1 : 0;
      while (table[(offset + steps[i] * skip) % size] != UINT32_MAX) ++steps[i];
      table[(offset + steps[i] * skip) % size] = static_cast<std::uint32_t>(i);
      ++filled;
    }
  }
  return table;
}

TEST(Maglev, IsEnvoysForAnyWeights) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> names;
    std::vector<double> weights;
    for (std::uint32_t i = 0; i < 1 + random() % 30; ++i) {
      names.push_back("10.0.0." + std::to_string(i) + ":80");
      weights.push_back(round % 3 == 0   ? 1 + random() % 100
                        : round % 3 == 1 ? 1 + random() % 4000000000U
                                         : std::pow(10.0, random() % 10));
    }
    const auto hosts = hashHostsOf(names, weights);
    for (const std::uint64_t size : {2, 101, 65537}) {
      ASSERT_EQ(maglevTable(hosts, size), envoysMaglev(hosts, size)) << round << ", " << size;
    }
  }
}

TEST(HashKey, PrefersMetadataThenHostname) {
  Endpoint one = endpoint(1);
  one.hostname = "web-1";
  EXPECT_EQ(hashKey(one, false), "10.0.0.1:80");
  EXPECT_EQ(hashKey(one, true), "web-1");
  one.lbMetadata.edit()["hash_key"].value = std::string();
  EXPECT_EQ(hashKey(one, true), "web-1");
  one.lbMetadata.edit()["hash_key"].value = std::string("k");
  EXPECT_EQ(hashKey(one, true), "k");
  one.lbMetadata.edit()["hash_key"].value = 7.0;
  EXPECT_EQ(hashKey(one, false), "10.0.0.1:80");
  Endpoint six;
  six.address = test::at("[2001:db8::1]:8080");
  EXPECT_EQ(hashKey(six, true), "[2001:db8::1]:8080");
}

}  // namespace
}  // namespace sockmesh
