// SPDX-License-Identifier: Apache-2.0
#include "stats/agent_stats.h"

#include <algorithm>

namespace sockmesh {
namespace {

constexpr std::size_t kNamesShown = 3;

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// "2 clusters (a, b)"
std::string namesText(const SharedMap<std::uint32_t>& names, const std::string& noun) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& [name, services] : names) {
    if (shown++ == kNamesShown) break;
    text += (text.empty() ? "" : ", ") + name;
  }
  return counted(names.size(), noun) + " (" + text + (names.size() > kNamesShown ? ", ...)" : ")");
}

}  // namespace

std::string HeldStats::text() const {
  if (services == 0) return "";
  std::string line = counted(services, "service");
  line += services == 1 ? " serves as before: " : " serve as before: ";
  if (!clusters.empty()) line += "waiting for endpoints of " + namesText(clusters, "cluster");
  if (!listeners.empty()) {
    line += std::string(clusters.empty() ? "" : "; ") + "the present version of " +
            namesText(listeners, "listener") + " was rejected, or its routes have not come";
  }
  return line;
}

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
