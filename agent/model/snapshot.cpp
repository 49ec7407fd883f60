// SPDX-License-Identifier: Apache-2.0
#include "model/snapshot.h"

namespace sockmesh {

std::shared_ptr<const LoadAssignment> Snapshot::assignmentOf(const Cluster& cluster) const {
  if (cluster.inlineAssignment) return cluster.inlineAssignment;
  const auto found = assignments.find(cluster.edsName);
  return found == assignments.end() ? nullptr : found->second;
}

std::vector<LeftAlone> Snapshot::leftAloneList() const {
  std::vector<LeftAlone> all;
  for (const auto& [name, one] : leftAlone) all.push_back(*one);
  return all;
}

}  // namespace sockmesh
