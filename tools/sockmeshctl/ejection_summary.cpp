// SPDX-License-Identifier: Apache-2.0
#include "ejection_summary.h"

#include <algorithm>
#include <map>

#include "model/ejection.h"
#include "text.h"

namespace sockmesh::ctl {

std::string ClusterEjections::note() const {
  if (limit > 0 || endpoints == 0) return "";
  return "none can be ejected: max_ejection_percent of " + std::to_string(endpoints) +
         (endpoints == 1 ? " endpoint" : " endpoints") + " is less than one";
}

std::vector<ClusterEjections> clusterEjections(const NodeView& view) {
  std::map<std::string, std::uint32_t> endpoints;
  for (const auto& [id, endpoint] : view.image.endpoints) ++endpoints[endpoint.cluster];
  std::vector<ClusterEjections> out;
  for (const auto& [id, name] : view.image.clusterNames) {
    const auto live = view.live.clusters.find(id);
    if (live == view.live.clusters.end() || live->second.state.base_ejection_ns == 0) continue;
    const sm_cluster_stats& stats = live->second.stats;
    ClusterEjections cluster;
    cluster.name = name;
    cluster.ejected = live->second.state.ejected;
    cluster.limit = live->second.state.ejection_limit;
    cluster.endpoints = endpoints[name];
    for (const __u64 count : stats.ejections_detected) cluster.detected += count;
    for (const __u64 count : stats.ejections_enforced) cluster.enforced += count;
    cluster.overflow = stats.ejections_overflow;
    out.push_back(std::move(cluster));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

void addOutlierDetection(const NodeView& view, Document& out) {
  constexpr std::size_t kNamed = 5;
  const auto clusters = clusterEjections(view);
  std::uint64_t ejected = 0;
  std::vector<std::string> idle;
  for (const ClusterEjections& cluster : clusters) {
    ejected += cluster.ejected;
    if (!cluster.note().empty()) idle.push_back(cluster.name);
  }
  out.data["outlierDetection"] = {
      {"clusters", clusters.size()}, {"ejected", ejected}, {"cannotEject", idle}};
  std::string heading = "Outlier detection: in " + std::to_string(clusters.size()) + " clusters, " +
                        std::to_string(ejected) + " endpoints ejected";
  if (!idle.empty()) {
    const std::size_t named = std::min(idle.size(), kNamed);
    heading += "; can eject none in " + std::to_string(idle.size()) + " (" +
               join({idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(named)}, ", ") +
               (idle.size() > named ? ", ..." : "") + "): max_ejection_percent is too small";
  }
  out.sections.push_back({heading, {}});
}

std::string detectorText(std::uint32_t detector) {
  if (detector >= kDetectors) return "unknown";
  return std::string(detectorName(static_cast<Detector>(detector)));
}

std::string agoText(std::uint64_t atNs, std::uint64_t nowNs) {
  if (atNs == 0) return "never";
  const std::uint64_t ago = nowNs > atNs ? nowNs - atNs : 0;
  return secondsText(static_cast<double>(ago) / 1e9) + " ago";
}

}  // namespace sockmesh::ctl
