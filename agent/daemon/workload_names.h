// SPDX-License-Identifier: Apache-2.0
// Puts the control plane's names on what the kernel counted.
#pragma once

#include "base/result.h"
#include "model/snapshot.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

// `snapshot` may be null: nothing has arrived. The cost grows with the endpoints in `stats`.
Result<DatapathStats> withWorkloads(Result<DatapathStats> stats, const Snapshot* snapshot);

}  // namespace sockmesh
