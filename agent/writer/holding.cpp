// SPDX-License-Identifier: Apache-2.0
#include "writer/holding.h"

#include <algorithm>

namespace sockmesh {
namespace {

bool isUnknown(sm_reason reason) {
  return reason == SM_REASON_ENDPOINTS_UNKNOWN || reason == SM_REASON_CLUSTER_UNKNOWN;
}

}  // namespace

std::set<std::string> clustersToWaitFor(const LbService& wanted, const Unknowns& unknowns) {
  std::set<std::string> clusters;
  for (const auto& group : wanted.groups) {
    const bool leftAlone = group->policy == SM_POLICY_LEAVE_ALONE;
    if ((leftAlone && isUnknown(group->reason)) || unknowns.clusters.contains(group->cluster)) {
      clusters.insert(group->cluster);
    } else if (leftAlone) {
      return {};
    }
  }
  return clusters;
}

bool decides(const LbService& inKernel) {
  return std::any_of(inKernel.groups.begin(), inKernel.groups.end(),
                     [](const auto& group) { return group->policy != SM_POLICY_LEAVE_ALONE; });
}

bool leavesAlone(const LbService& inKernel, const std::string& cluster) {
  bool any = false;
  for (const auto& group : inKernel.groups) {
    if (group->cluster != cluster) continue;
    if (group->policy != SM_POLICY_LEAVE_ALONE) return false;
    any = true;
  }
  return any;
}

std::set<std::string> clustersOf(const LbService& service) {
  std::set<std::string> clusters;
  for (const auto& group : service.groups) {
    if (!group->cluster.empty()) clusters.insert(group->cluster);
  }
  return clusters;
}

}  // namespace sockmesh
