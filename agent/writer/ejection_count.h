// SPDX-License-Identifier: Apache-2.0
// Compares sm_cluster_state.ejected with the endpoint states. The programs change both at any time,
// the count a moment before or after the state. So a difference is a lost count only if it is still
// there after all programs that ran at the first look have ended. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/breather.h"
#include "maps/kernel_maps.h"
#include "writer/grace_period.h"
#include "writer/id_registry.h"

namespace sockmesh {

// Whether the cluster counts any endpoint as ejected.
bool countsEjected(const KernelMaps& maps, std::uint32_t clusterId);

// Counted minus ejected endpoints of the cluster at this moment; 0 also while the count moves.
// `endpoints`: ids of all that may be ejected.
std::int32_t ejectionSurplus(const KernelMaps& maps, std::uint32_t clusterId,
                             const std::vector<std::uint32_t>& endpoints, Breather& breathe);

// The second look, a grace period after the first one, which found `surplus`. Takes the part that
// both looks found off the count. Returns the number that was taken off, or a negative number if
// the count was raised.
std::int32_t correctEjections(KernelMaps& maps, std::uint32_t clusterId,
                              const std::vector<std::uint32_t>& endpoints, std::int32_t surplus,
                              Breather& breathe);

// Does both looks at all clusters, and waits in between if there is anything to correct. Returns
// what was taken off, by cluster.
std::map<std::string, std::int32_t> recountEjections(KernelMaps& maps, const IdRegistry& ids,
                                                     BlockingGracePeriod& wait);

}  // namespace sockmesh
