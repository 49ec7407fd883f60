// SPDX-License-Identifier: Apache-2.0
// How full the maps are and what they cost.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "maps/kernel_image.h"
#include "maps/kernel_maps.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

// One entry for each of kMapNames, in that order. `directory` is where `maps` are pinned. Use is
// counted from `image` if the image knows it: an id that no service and no name refers to is free.
Result<std::vector<MapUsage>> readMapUsage(const KernelMaps& maps, const KernelImage& image,
                                           const std::string& directory);

// The cells of all tables and host vectors. A cell that several groups share counts once.
std::uint64_t usedCells(const KernelImage& image);
// The same for groups.
std::uint64_t usedGroups(const KernelImage& image);

}  // namespace sockmesh
