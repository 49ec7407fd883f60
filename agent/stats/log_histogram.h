// SPDX-License-Identifier: Apache-2.0
// Reading log2 histograms.
#pragma once

#include <cstdint>
#include <optional>

#include "stats/datapath_stats.h"

namespace sockmesh {

std::uint64_t sampleCount(const LogHistogram& histogram);

// Upper bound of bucket `i` in seconds; the last bucket has none.
double upperBoundSeconds(const LogHistogram& histogram, std::size_t i);

// The `q` quantile (0 to 1) in seconds, linear within its bucket as Prometheus'
// histogram_quantile() is; in the last bucket, the last bound. Nothing if there are no samples.
std::optional<double> quantileSeconds(const LogHistogram& histogram, double q);

}  // namespace sockmesh
