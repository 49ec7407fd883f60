// SPDX-License-Identifier: Apache-2.0
// Resources that the control plane has and of which no good version is known, because the present
// version was rejected. In a running agent the last good version stays. After a restart only the
// kernel's tables have it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "model/unknowns.h"
#include "stats/agent_stats.h"

namespace sockmesh {

// One thread.
class UnknownsFinder {
 public:
  // Call with each snapshot, in order. The cost grows with what `snapshot.changed` names and with
  // what is rejected. All clusters are looked at where other assignments are rejected than before,
  // all listeners while a cluster without a readable name is.
  Unknowns of(const Snapshot& snapshot, const XdsStats& xds);

 private:
  void addRejectedAssignments(const Snapshot& snapshot, const std::vector<std::string>& rejected,
                              Unknowns& unknowns);
  void findTakers(const Snapshot& snapshot, const std::vector<std::string>& rejected);

  std::vector<std::string> rejected_;  // assignments, sorted
  std::set<std::string> takers_;       // the clusters of type EDS that take one of them
};

}  // namespace sockmesh
