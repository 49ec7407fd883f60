// SPDX-License-Identifier: Apache-2.0
// Connections that were refused or left alone, by cluster and reason. The programs count them by
// cluster alone. So this class counts what was added between two readings for the reason that the
// tables gave at either reading. Where they gave several, the reason is "unknown". A count never
// falls, whatever becomes of the reason. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "stats/datapath_stats.h"

namespace sockmesh {

class VerdictCounts {
 public:
  using ByReason = std::map<std::string_view, std::uint64_t>;
  struct Counts {
    ByReason refused;
    ByReason leftAlone;
  };

  void update(const DatapathStats& stats);
  // By cluster. Clusters that the last reading did not list, clusters without such a connection and
  // reasons without one are not there.
  const std::map<std::string, Counts>& counts() const { return counts_; }

 private:
  struct Reading {
    std::string cluster;
    Verdicts refused;
    Verdicts leftAlone;
  };
  std::unordered_map<std::uint32_t, Reading> last_;  // by cluster id
  std::map<std::string, Counts> counts_;
};

}  // namespace sockmesh
