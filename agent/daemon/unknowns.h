// SPDX-License-Identifier: Apache-2.0
// Resources that the control plane has and of which no good version is known, because the present
// version was rejected. In a running agent the last good version stays. After a restart only the
// kernel's tables have it.
#pragma once

#include "datapath/holding.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

Unknowns unknownsOf(const Snapshot& snapshot, const XdsStats& xds);

}  // namespace sockmesh
