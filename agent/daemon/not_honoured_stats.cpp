// SPDX-License-Identifier: Apache-2.0
#include "daemon/not_honoured_stats.h"

#include <map>

#include "model/not_honoured.h"

namespace sockmesh {

NotHonouredStats notHonouredStats(const Snapshot& snapshot) {
  NotHonouredStats out;
  std::map<std::string, std::string> clusters;  // several services may lead to one
  for (const LayerSevenNeed& need : layerSevenNeeds(snapshot)) {
    std::string policies;
    for (const std::string& one : need.hashPolicies)
      policies += (policies.empty() ? "" : ", ") + one;
    clusters[need.cluster] = policies;
  }
  out.clustersNeedingLayer7.assign(clusters.begin(), clusters.end());
  std::uint64_t byKind[2] = {};
  for (const NotHonoured& one : notHonoured(snapshot)) ++byKind[static_cast<int>(one.kind)];
  out.byType = {{"CDS", byKind[static_cast<int>(NotHonoured::Kind::kCluster)]},
                {"LDS", byKind[static_cast<int>(NotHonoured::Kind::kListener)]}};
  return out;
}

}  // namespace sockmesh
