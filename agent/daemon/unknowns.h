// What the control plane has and could not tell us: resources whose present version was rejected
// while no good one is known. In a running agent the last good version stays; after a restart what
// the kernel holds is all that is left of it.
#pragma once

#include "datapath/holding.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

Unknowns unknownsOf(const Snapshot& snapshot, const XdsStats& xds);

}  // namespace sockmesh
