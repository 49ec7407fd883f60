// SPDX-License-Identifier: Apache-2.0
#include "bench/paired.h"

#include <sched.h>
#include <time.h>

#include <utility>

namespace sockmesh::test {

std::int64_t nowNanos() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000LL + ts.tv_nsec;
}

double quantile(std::vector<double> values, double q) {
  const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

double over(const std::vector<double>& ours, const std::vector<double>& base, double q) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < std::min(ours.size(), base.size()); ++i) {
    differences.push_back(ours[i] - base[i]);
  }
  return quantile(std::move(differences), q);
}

void pinTo(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof(one), &one);
}

}  // namespace sockmesh::test
