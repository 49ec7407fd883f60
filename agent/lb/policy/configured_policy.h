// SPDX-License-Identifier: Apache-2.0
// A policy that a cluster can ask for: it builds the groups of the cluster from its hosts.
#pragma once

#include <cstdint>
#include <vector>

#include "lb/group_builder.h"
#include "lb/host_pool.h"
#include "lb/policy/policy.h"
#include "lb/priority_load.h"
#include "model/lb_policy.h"

namespace sockmesh {

// The hosts of a cluster (or of a subset) and the rules by which they take part.
struct PolicyHosts {
  const PrioritySet& set;
  const PriorityLoads& loads;
  const LocalityRules& rules;
};

struct PolicyGroups {
  // Picked by share (the shares sum to 1), or with `byHash` by the connection's hash.
  std::vector<SharedGroup> groups;
  // 100 indices into `groups`, by hash mod 100; empty: picked by share.
  std::vector<std::uint32_t> byHash;
};

class ConfiguredPolicy : public Policy {
 public:
  // Connections that find no host get a group that refuses, with its share.
  virtual PolicyGroups build(const GroupContext& context, const PolicyHosts& hosts) const = 0;
};

// Null for a policy whose connections are left alone (kClusterProvided).
const ConfiguredPolicy* configuredPolicy(LbPolicy policy);

}  // namespace sockmesh
