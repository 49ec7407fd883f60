// SPDX-License-Identifier: Apache-2.0
#include "stats/log_histogram.h"

#include <cmath>
#include <numeric>

namespace sockmesh {

std::uint64_t sampleCount(const LogHistogram& histogram) {
  return std::accumulate(histogram.buckets.begin(), histogram.buckets.end(), std::uint64_t{0});
}

double upperBoundSeconds(const LogHistogram& histogram, std::size_t i) {
  return std::ldexp(histogram.firstBoundSeconds, static_cast<int>(i));
}

std::optional<double> quantileSeconds(const LogHistogram& histogram, double q) {
  const std::uint64_t samples = sampleCount(histogram);
  if (samples == 0) return std::nullopt;
  const double rank = q * static_cast<double>(samples);
  double below = 0;
  for (std::size_t i = 0; i + 1 < histogram.buckets.size(); ++i) {
    const auto count = static_cast<double>(histogram.buckets[i]);
    if (count > 0 && below + count >= rank) {
      const double from = i == 0 ? 0.0 : upperBoundSeconds(histogram, i - 1);
      return from + (upperBoundSeconds(histogram, i) - from) * ((rank - below) / count);
    }
    below += count;
  }
  return upperBoundSeconds(histogram, histogram.buckets.size() - 2);
}

}  // namespace sockmesh
