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

// The reason that the tables give now, with 0 if nothing was counted for it.
void begin(const VerdictReasons& reasons, VerdictCounts::ByReason& counts) {
  if (!reasons.certain.empty()) counts.try_emplace(reasonBetween(reasons, reasons));
}

}  // namespace

void VerdictCounts::update(const DatapathStats& stats,
                           const std::function<bool(const std::string&)>& isUsed) {
  std::unordered_map<std::uint32_t, Reading> last;
  std::map<std::string, Counts> counts;
  for (const ClusterStats& cluster : stats.clusters) {
    Counts& of = counts[cluster.cluster];
    if (auto known = counts_.extract(cluster.cluster)) of = std::move(known.mapped());
    const Reading& now = last[cluster.id] = {cluster.cluster, cluster.refused, cluster.leftAlone};
    begin(now.refused.reasons, of.refused);
    begin(now.leftAlone.reasons, of.leftAlone);
    if (isUsed(cluster.cluster)) {
      for (const std::string_view reason : stats.suddenRefusals) of.refused.try_emplace(reason);
    }
    // A later cluster of the same name has another id, and an id may go to another cluster. Either
    // counts from zero.
    const auto found = last_.find(cluster.id);
    const bool same = found != last_.end() && found->second.cluster == cluster.cluster;
    const Reading before = same ? found->second : Reading();
    add(before.refused, now.refused, of.refused);
    add(before.leftAlone, now.leftAlone, of.leftAlone);
  }
  std::erase_if(counts, [](const auto& one) {
    return one.second.refused.empty() && one.second.leftAlone.empty();
  });
  last_ = std::move(last);
  counts_ = std::move(counts);
}

}  // namespace sockmesh
