// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/reference_tables.h"

#include <algorithm>
#include <cmath>
#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sockmesh::test {
namespace {

std::uint64_t hashOf(const std::string& key, std::uint64_t seed = 0) {
  return XXH64(key.data(), key.size(), seed);
}

}  // namespace

Distribution byMaglev(const LoadBalancing& lb, TableHosts hosts) {
  const std::uint64_t size = lb.maglevTableSize;
  std::sort(hosts.begin(), hosts.end(), [](const auto& a, const auto& b) {
    return a.first.address.toString() < b.first.address.toString();
  });
  double heaviest = 0;
  for (const auto& [host, weight] : hosts) heaviest = std::max(heaviest, weight);
  std::vector<int> slots(size, -1);
  std::vector<double> target(hosts.size(), 0);
  std::vector<std::uint64_t> turn(hosts.size(), 0);
  std::uint64_t filled = 0;
  for (int iteration = 1; filled < size; ++iteration) {
    for (std::size_t i = 0; i < hosts.size() && filled < size; ++i) {
      if (iteration * hosts[i].second < target[i]) continue;
      target[i] += heaviest;
      const std::string key = hosts[i].first.address.toString();
      const std::uint64_t offset = hashOf(key) % size;
      const std::uint64_t skip = hashOf(key, 1) % (size - 1) + 1;
      std::uint64_t slot = 0;
      do {
        slot = (offset + skip * turn[i]++) % size;
      } while (slots[slot] != -1);
      slots[slot] = static_cast<int>(i);
      ++filled;
    }
  }
  Distribution shares;
  for (const int host : slots) {
    shares[hosts[static_cast<std::size_t>(host)].first.address] += 1.0 / static_cast<double>(size);
  }
  return shares;
}

Distribution byRing(const LoadBalancing& lb, const TableHosts& hosts) {
  double least = 1;
  for (const auto& [host, weight] : hosts) least = std::min(least, weight);
  const double scale = std::min(std::ceil(least * static_cast<double>(lb.minimumRingSize)) / least,
                                static_cast<double>(lb.maximumRingSize));
  std::map<std::uint64_t, SocketAddress> points;
  double target = 0;
  double current = 0;
  for (const auto& [host, weight] : hosts) {
    target += scale * weight;
    for (int k = 0; current < target; ++k, ++current) {
      const std::string text = host.address.toString() + "_" + std::to_string(k);
      points[lb.hashFunction == HashFunction::kXxHash ? hashOf(text)
                                                      : std::hash<std::string>{}(text)] =
          host.address;
    }
  }
  Distribution shares;
  // The first point also has everything above the last.
  double before = static_cast<double>(points.rbegin()->first) - std::ldexp(1.0, 64);
  for (const auto& [point, address] : points) {
    shares[address] += std::ldexp(static_cast<double>(point) - before, -64);
    before = static_cast<double>(point);
  }
  return shares;
}

}  // namespace sockmesh::test
