// sm_cluster_state.ejected against the lines that it counts. The programs move both at any time,
// the count a moment before or after the line; so a difference is a lost count only where it is
// there again after all programs that ran at the first look have ended. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datapath/grace_period.h"
#include "datapath/id_registry.h"
#include "datapath/kernel_maps.h"

namespace sockmesh {

// Whether the cluster counts any endpoint as ejected.
bool countsEjected(const KernelMaps& maps, std::uint32_t clusterId);

// Counted minus ejected endpoints of the cluster at this moment; 0 also while the count moves.
// `endpoints`: ids of all that may be ejected.
std::int32_t ejectionSurplus(const KernelMaps& maps, std::uint32_t clusterId,
                             const std::vector<std::uint32_t>& endpoints);

// The second look, a grace period after the first, which found `surplus`: takes what both have in
// common off the count. What it took off; negative: added.
std::int32_t correctEjections(KernelMaps& maps, std::uint32_t clusterId,
                              const std::vector<std::uint32_t>& endpoints, std::int32_t surplus);

// Both looks at all clusters; waits in between where there is anything to correct. What was taken
// off, by cluster.
std::map<std::string, std::int32_t> recountEjections(KernelMaps& maps, const IdRegistry& ids,
                                                     BlockingGracePeriod& wait);

}  // namespace sockmesh
