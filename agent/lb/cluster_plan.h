// SPDX-License-Identifier: Apache-2.0
// What one cluster, or the subset that a leg's metadata names, contributes to a service. All
// services that lead there share the plan.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lb/compiler_options.h"
#include "lb/policy/configured_policy.h"
#include "lb/reach.h"
#include "lb/slow_start.h"
#include "model/snapshot.h"

namespace sockmesh {

struct ClusterPlan : PolicyGroups {
  bool hashing = false;    // by a hash policy
  bool rewriting = false;  // not left alone
};

using PlanPtr = std::shared_ptr<const ClusterPlan>;

// A cluster's plans by what a socket can reach. Equal plans are the same object.
struct ClusterPlans {
  PlanPtr both;
  PlanPtr ipv4Only;
  PlanPtr ipv6Only;
  const PlanPtr& of(Reach reach) const;
};

// Everything that a plan depends on.
struct PlanInputs {
  const Cluster& cluster;
  const LoadAssignment& assignment;
  const MetadataStruct& criteria;  // of the leg; matters with a subset configuration
  const std::set<SocketAddress>& ejected;
  const CompilerOptions& options;
  const SlowStartAges& ages;
  const HostSet* localCluster = nullptr;  // of zone-aware routing; null: unknown
  Nanos now{0};
  // The plan is the one that the cluster would have if only the hosts that such a socket reaches
  // existed.
  Reach reach = Reach::kBoth;

  // The same with another assignment.
  PlanInputs over(const LoadAssignment& other) const;
};

// Why connections to this cluster are left alone, or SM_REASON_NONE. `cluster` and `assignment` are
// null if they have not arrived.
sm_reason leftAloneReason(const Cluster* cluster, const LoadAssignment* assignment);

// A plan that leaves connections alone for this reason.
PlanPtr leftAlonePlan(const std::string& cluster, sm_reason reason);
// A plan that refuses, for a cluster that does not exist.
PlanPtr absentPlan(const std::string& cluster);

// Groups equal to those of `before` (may be null) are the same objects.
PlanPtr planCluster(const PlanInputs& inputs, CellPool& pool, const ClusterPlan* before);

}  // namespace sockmesh
