// From hosts to selection tables: one LbGroup for each set of hosts among which one policy chooses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lb/cell_table.h"
#include "lb/hosts_source.h"
#include "lb/tables.h"

namespace sockmesh {

// A group and its share of what it is part of.
struct SharedGroup {
  double share = 0;  // > 0
  std::shared_ptr<const LbGroup> group;
};

struct GroupContext {
  const Cluster& cluster;
  CellPool& pool;
  sm_reason reasonNoHost = SM_REASON_NO_HEALTHY;  // of connections that find no host
  bool noPanic = false;                           // SM_GROUP_NO_PANIC
  bool weightedRandom = false;                    // see CompilerOptions
};

// A group that leaves alone or refuses.
std::shared_ptr<const LbGroup> verdict(sm_policy policy, sm_reason reason,
                                       const std::string& cluster);

// The groups of ROUND_ROBIN, RANDOM and LEAST_REQUEST; their shares sum to 1.
//  RANDOM: one group over all of the sources' hosts with their effective shares.
//  ROUND_ROBIN: a group for each part, or for each source whose localities fit into one schedule.
//    Where no schedule holds the weights (see schedule.h) it is a RANDOM group with these weights.
//  LEAST_REQUEST: a group for each part.
std::vector<SharedGroup> weightGroups(const GroupContext& context,
                                      const std::vector<HostsSource>& sources);

// A hash policy's group for one priority: the healthy hosts, or all in panic.
std::shared_ptr<const LbGroup> hashGroup(const GroupContext& context, const HostSet& set,
                                         std::uint32_t priority, bool panic, bool localityWeighted);

}  // namespace sockmesh
