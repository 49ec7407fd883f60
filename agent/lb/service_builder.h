// From the plans of a listener's clusters to its VIPs.
#pragma once

#include <memory>
#include <vector>

#include "lb/cell_table.h"
#include "lb/cluster_plan.h"
#include "lb/tables.h"
#include "model/listener.h"

namespace sockmesh {

struct ServiceLeg {
  const Cluster* cluster = nullptr;  // null: not known
  std::uint32_t weight = 1;
  std::shared_ptr<const ClusterPlan> plan;
};

// The service of a listener, without its VIP. `legs` are those of the listener's route, in order.
LbService buildService(const Listener& listener, const std::vector<ServiceLeg>& legs,
                       CellPool& pool);

}  // namespace sockmesh
