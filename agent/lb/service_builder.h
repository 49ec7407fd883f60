// SPDX-License-Identifier: Apache-2.0
// Makes the services of a listener's VIPs from the plans of its clusters.
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
  ClusterPlans plans;
};

// The service of a listener for sockets of this reach, without its VIP. `legs` are those of the
// listener's route, in order. A leg without a host that such a socket reaches refuses its part.
LbService buildService(const Listener& listener, const std::vector<ServiceLeg>& legs, Reach reach,
                       CellPool& pool);

// Whether sockets of this reach have another choice than sockets that reach both families.
bool differs(const std::vector<ServiceLeg>& legs, Reach reach);

}  // namespace sockmesh
