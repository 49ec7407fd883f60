// SPDX-License-Identifier: Apache-2.0
// What is not honoured in a Snapshot, as the metrics room counts it.
#pragma once

#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

NotHonouredStats notHonouredStats(const Snapshot& snapshot);

}  // namespace sockmesh
