// SPDX-License-Identifier: Apache-2.0
// Compares what the control plane said, what the agent made of it and what the kernel holds. Pure
// functions: any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lb/tables.h"
#include "maps/kernel_image.h"
#include "model/drift.h"
#include "model/snapshot.h"

namespace sockmesh {

// Whether `compiled`, made of `snapshot`, has each VIP under the name of the listener that owns it,
// each cluster that a VIP leads to, and of each cluster all endpoints and the rules of ejection.
// How connections are shared out is not looked at.
std::vector<Drift> driftFromControlPlane(const Snapshot& snapshot, const LbTables& compiled);

// Whether the kernel holds what the map writer brought it to. Endpoints that left the tables and
// wait for their last connection are no drift. Counters and ejections are the programs' own.
// `filter`: the words of the filter in front of the frontends.
std::vector<Drift> driftInKernel(const LbTables& aim, const KernelImage& image,
                                 std::span<const std::uint64_t> filter);

}  // namespace sockmesh
