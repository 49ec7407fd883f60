// SPDX-License-Identifier: Apache-2.0
#include "stats/verdict_counts.h"

#include <set>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::string_view kUnknown = "unknown";

using Labels = std::set<std::string_view>;

// The reason of what was added between two readings.
std::string_view reasonBetween(const VerdictReasons& before, const VerdictReasons& now) {
  Labels reasons(before.certain.begin(), before.certain.end());
  reasons.insert(now.certain.begin(), now.certain.end());
  if (reasons.empty()) {
    for (const auto& reason : {before.onceEjected, now.onceEjected}) {
      if (!reason.empty()) reasons.insert(reason);
    }
  }
  return reasons.size() == 1 ? *reasons.begin() : kUnknown;
}

void add(const Verdicts& before, const Verdicts& now, VerdictCounts::ByReason& counts) {
  const std::uint64_t known = before.count <= now.count ? before.count : 0;
  if (now.count > known) counts[reasonBetween(before.reasons, now.reasons)] += now.count - known;
}

}  // namespace

void VerdictCounts::update(const DatapathStats& stats) {
  std::unordered_map<std::uint32_t, Reading> last;
  std::map<std::string, Counts> counts;
  for (const ClusterStats& cluster : stats.clusters) {
    if (auto known = counts_.extract(cluster.cluster)) counts.insert(std::move(known));
    const Reading& now = last[cluster.id] = {cluster.cluster, cluster.refused, cluster.leftAlone};
    if (now.refused.count + now.leftAlone.count == 0) continue;
    // A later cluster of the same name has another id, and an id may go to another cluster. Either
    // counts from zero.
    const auto found = last_.find(cluster.id);
    const bool same = found != last_.end() && found->second.cluster == cluster.cluster;
    const Reading before = same ? found->second : Reading();
    add(before.refused, now.refused, counts[cluster.cluster].refused);
    add(before.leftAlone, now.leftAlone, counts[cluster.cluster].leftAlone);
  }
  last_ = std::move(last);
  counts_ = std::move(counts);
}

}  // namespace sockmesh
