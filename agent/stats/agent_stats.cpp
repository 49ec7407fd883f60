#include "stats/agent_stats.h"

#include <algorithm>

namespace sockmesh {

const std::vector<double>& DurationHistogram::bounds() {
  static const std::vector<double> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,  0.5,    1,     2.5,  5,     10};
  return kBounds;
}

void DurationHistogram::observe(double seconds) {
  const auto bucket = std::lower_bound(bounds().begin(), bounds().end(), seconds);
  ++counts_[static_cast<std::size_t>(bucket - bounds().begin())];
  sumSeconds_ += seconds;
}

}  // namespace sockmesh
