// SPDX-License-Identifier: Apache-2.0
// Zone-aware routing (common_lb_config.zone_aware_lb_config): callers prefer hosts of their own
// zone, as far as the hosts of all zones are then loaded equally.
#pragma once

#include <vector>

#include "lb/host_pool.h"

namespace sockmesh {

// The zones of priority 0's healthy hosts with their shares. Empty if zone-aware routing does not
// apply and selection is flat: with fewer than two localities; with the callers' cluster unknown,
// without hosts in the own locality, or in panic; with fewer healthy hosts than min_cluster_size.
// With fail_traffic_on_panic and the callers' cluster in panic there is a part without hosts. What
// routing_enabled leaves out is a flat part.
std::vector<HostPoolPart> zoneAwareParts(const HostSet& upstream, const LocalityRules& rules);

}  // namespace sockmesh
