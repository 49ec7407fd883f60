// SPDX-License-Identifier: Apache-2.0
// Connections that were refused or left alone, by cluster and reason. The programs count them by
// cluster alone. So this class counts what was added between two readings for the reason that the
// tables gave at either reading. Where they gave several, the reason is "unknown". A count never
// falls, whatever becomes of the reason. A count is there, with 0, before it is needed: of the
// reasons that the tables give now and, of a cluster in use, of those for which endpoints go away
// by themselves. A rate is only seen of a count that was there before. One thread.
#pragma once

#include <cstdint>
#include <functional>
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

  // `isUsed` says of a cluster's name whether connections went to its endpoints.
  void update(const DatapathStats& stats, const std::function<bool(const std::string&)>& isUsed);
  // By cluster. Clusters that the last reading did not list, and those of which there is nothing to
  // say, are not there.
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
