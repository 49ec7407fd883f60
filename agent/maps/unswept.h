// SPDX-License-Identifier: Apache-2.0
// The marks that the programs leave where connects have ended (SM_UNSWEPT_WORDS): at the endpoint,
// and a bit at its cluster. They say where outlier detection has something to look at. A program
// counts the outcome, marks the endpoint and then sets the cluster's bit. Whoever takes marks
// clears the bit, then the marks, and reads the outcomes last. So no mark is left without a bit.
//
// A program may have seen an old mark, and count its outcome after the mark was taken: whoever
// took a mark looks at that endpoint once more later.
#pragma once

#include <cstdint>
#include <vector>

#include "maps/kernel_maps.h"

namespace sockmesh {

// False also where there is no such endpoint or cluster.
bool isEndpointUnswept(const KernelMaps& maps, std::uint32_t endpointId);
bool isClusterUnswept(const KernelMaps& maps, std::uint32_t clusterId);

// The bits of the clusters from 64 * `word` on.
std::uint64_t unsweptWord(const KernelMaps& maps, std::uint32_t word);
// Ids of all clusters whose bit is set, in order.
std::vector<std::uint32_t> unsweptClusters(const KernelMaps& maps);

void clearCluster(KernelMaps& maps, std::uint32_t clusterId);
// Clears the endpoint's mark. Returns whether it was set.
bool takeEndpoint(KernelMaps& maps, std::uint32_t endpointId);

}  // namespace sockmesh
