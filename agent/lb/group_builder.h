// SPDX-License-Identifier: Apache-2.0
// From hosts to a group, as far as all policies do it alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lb/cell_table.h"
#include "lb/compiler_options.h"
#include "lb/host_pool.h"
#include "lb/tables.h"

namespace sockmesh {

// A group and the fraction of the cluster's connections that it receives.
struct SharedGroup {
  double share = 0;  // > 0
  std::shared_ptr<const LbGroup> group;
};

struct GroupContext {
  const Cluster& cluster;
  CellPool& pool;
  const CompilerOptions& options;
  sm_reason reasonNoHost = SM_REASON_NO_HEALTHY;  // of connections that find no host
  bool noPanic = false;                           // SM_GROUP_NO_PANIC
};

// A group over these hosts of `source`, without policy and table.
LbGroup groupOver(const GroupContext& context, const HostPool& source, const HostList& hosts);

std::shared_ptr<const LbGroup> finished(LbGroup group);

// A group that leaves alone or refuses, whatever the connection.
std::shared_ptr<const LbGroup> fixedOutcomeGroup(sm_policy policy, sm_reason reason,
                                                 const Name& cluster);
// The group that refuses connections which find no host.
std::shared_ptr<const LbGroup> groupWithoutHost(const GroupContext& context);

}  // namespace sockmesh
