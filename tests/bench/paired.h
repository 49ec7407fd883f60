// SPDX-License-Identifier: Apache-2.0
// Measurements of sockets of several kinds that are compared with each other. In every round the
// sockets of all kinds take turns, in an order that is drawn anew for each turn, because the first
// kind finds the caches cold. A result is the median over rounds of the difference between medians
// (or p99s). Its spread shows the machine's noise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace sockmesh::test {

constexpr double kTail = 0.99;

std::int64_t nowNanos();  // CLOCK_MONOTONIC

// `values` is not empty; q is 0 to 1.
double quantile(std::vector<double> values, double q);

// The q-quantile of the rounds' differences.
double over(const std::vector<double>& ours, const std::vector<double>& base, double q);

// Keeps the calling thread on this CPU.
void pinTo(int cpu);

// act(kind, i) for each kind and for each i below `sockets`, in turns. The same orders each time
// that the program runs.
template <typename Act>
void inTurns(std::size_t kinds, std::size_t sockets, const Act& act) {
  static std::mt19937 random;
  std::vector<std::size_t> order(kinds);
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = 0; i < sockets; ++i) {
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t kind : order) act(kind, i);
  }
}

}  // namespace sockmesh::test
