// SPDX-License-Identifier: Apache-2.0
#include "lb/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <tuple>

namespace sockmesh {
namespace {

using Counts = std::vector<std::uint32_t>;

constexpr double kExactTolerance = 1e-9;
// Above this value a double no longer holds every integer.
constexpr double kMaxExactInteger = 9007199254740992.0;

// The weights divided by their greatest common divisor. Nothing if they are not integers or the
// cycle is too long.
std::optional<Counts> integerCounts(std::span<const double> weights) {
  std::uint64_t divisor = 0;
  double sum = 0;
  for (const double weight : weights) {
    if (weight != std::floor(weight) || weight > kMaxExactInteger) return std::nullopt;
    divisor = std::gcd(divisor, static_cast<std::uint64_t>(weight));
    sum += weight;
  }
  if (sum / static_cast<double>(divisor) > static_cast<double>(kMaxSchedule)) return std::nullopt;
  Counts counts;
  for (const double weight : weights) {
    counts.push_back(static_cast<std::uint32_t>(static_cast<std::uint64_t>(weight) / divisor));
  }
  return counts;
}

// The counts for k, or nothing if some share is off by more than `tolerance` of itself.
std::optional<Counts> roundedCounts(std::span<const double> weights, double least, double sum,
                                    double k, double tolerance) {
  Counts counts;
  double total = 0;
  for (const double weight : weights) {
    const double count = std::max(1.0, std::round(k * weight / least));
    counts.push_back(static_cast<std::uint32_t>(count));
    total += count;
  }
  if (total > static_cast<double>(kMaxSchedule)) return std::nullopt;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double wanted = weights[i] / sum;
    if (std::abs(counts[i] / total - wanted) > tolerance * wanted) return std::nullopt;
  }
  return counts;
}

}  // namespace

std::vector<std::uint32_t> edfOrder(std::span<const double> weights, std::size_t picks) {
  // Deadline, order of insertion, entry.
  using Entry = std::tuple<double, std::uint64_t, std::uint32_t>;
  std::vector<std::uint32_t> order;
  order.reserve(picks);
  if (std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) == weights.end()) {
    // Equal deadlines go by order of insertion, which stays as it is.
    while (order.size() < picks) {
      order.push_back(static_cast<std::uint32_t>(order.size() % weights.size()));
    }
    return order;
  }
  std::vector<Entry> entries;
  std::uint64_t inserted = 0;
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    entries.emplace_back(1.0 / weights[i], inserted++, i);
  }
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue(std::greater<>{},
                                                                       std::move(entries));
  while (order.size() < picks) {
    const auto [now, ignored, entry] = queue.top();
    queue.pop();
    order.push_back(entry);
    queue.emplace(now + 1.0 / weights[entry], inserted++, entry);
  }
  return order;
}

std::optional<Counts> cycleCounts(std::span<const double> weights) {
  if (auto exact = integerCounts(weights)) return exact;
  const double least = *std::min_element(weights.begin(), weights.end());
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double limit = static_cast<double>(kMaxSchedule) * least / sum;
  for (const double tolerance : {kExactTolerance, kScheduleTolerance}) {
    for (double k = 1; k <= limit; ++k) {
      if (auto counts = roundedCounts(weights, least, sum, k, tolerance)) return counts;
    }
  }
  return std::nullopt;
}

std::optional<std::vector<std::uint32_t>> schedule(std::span<const double> weights) {
  const auto counts = cycleCounts(weights);
  if (!counts) return std::nullopt;
  const std::vector<double> whole(counts->begin(), counts->end());
  return edfOrder(whole, std::accumulate(counts->begin(), counts->end(), std::size_t{0}));
}

std::optional<std::vector<std::uint32_t>> nestedSchedule(
    std::span<const LocalityWeights> localities) {
  std::vector<double> weights;
  std::vector<std::vector<std::uint32_t>> cycles;
  for (const LocalityWeights& locality : localities) {
    weights.push_back(locality.weight);
    auto cycle = schedule(locality.hosts);
    if (!cycle) return std::nullopt;
    cycles.push_back(std::move(*cycle));
  }
  const auto counts = cycleCounts(weights);
  if (!counts) return std::nullopt;
  const std::size_t once = std::accumulate(counts->begin(), counts->end(), std::size_t{0});
  // The number of cycles of the localities after which each locality has ended a cycle of its
  // hosts.
  std::size_t repeat = 1;
  for (std::size_t i = 0; i < cycles.size(); ++i) {
    repeat =
        std::lcm(repeat, cycles[i].size() / std::gcd<std::size_t>(cycles[i].size(), (*counts)[i]));
    if (once * repeat > kMaxNestedSchedule) return std::nullopt;
  }
  std::vector<std::uint32_t> firstHost;
  std::uint32_t hosts = 0;
  for (const LocalityWeights& locality : localities) {
    firstHost.push_back(hosts);
    hosts += static_cast<std::uint32_t>(locality.hosts.size());
  }
  const std::vector<double> whole(counts->begin(), counts->end());
  std::vector<std::size_t> next(cycles.size(), 0);
  std::vector<std::uint32_t> picks;
  for (const std::uint32_t locality : edfOrder(whole, once * repeat)) {
    const auto& cycle = cycles[locality];
    picks.push_back(firstHost[locality] + cycle[next[locality]++ % cycle.size()]);
  }
  return picks;
}

}  // namespace sockmesh
