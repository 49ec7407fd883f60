// Zone-aware routing (common_lb_config.zone_aware_lb_config): callers prefer hosts of their own
// zone as far as every zone's callers then load its hosts alike.
#pragma once

#include <vector>

#include "lb/hosts_source.h"

namespace sockmesh {

// The zones of priority 0's healthy hosts with their shares; empty where zone-aware routing does
// not apply and selection is flat: fewer than two localities, own cluster unknown or without hosts
// in the own locality or in panic, fewer healthy hosts than min_cluster_size. With
// fail_traffic_on_panic and the own cluster in panic, a part without hosts. What routing_enabled
// leaves out is a flat part.
std::vector<HostsPart> zoneAwareParts(const HostSet& upstream, const LocalityRules& rules);

}  // namespace sockmesh
