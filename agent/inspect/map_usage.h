// How full the maps are and what they cost.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/kernel_image.h"
#include "datapath/kernel_maps.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

// One for each of kMapNames, in that order. `directory` is where `maps` are pinned. What is in use
// is counted from `image` where it says so: ids that no service or name refers to are free.
Result<std::vector<MapUsage>> readMapUsage(const KernelMaps& maps, const KernelImage& image,
                                           const std::string& directory);

// Cells that services' tables and host vectors occupy, each counted once however many share it.
std::uint64_t usedCells(const KernelImage& image);
// The same for groups.
std::uint64_t usedGroups(const KernelImage& image);

}  // namespace sockmesh
