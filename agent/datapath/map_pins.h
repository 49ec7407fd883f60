// SPDX-License-Identifier: Apache-2.0
// Restores the maps' pins if another process removed them. Without pins no later agent and no tool
// finds the maps. Control thread.
#pragma once

#include <string>

#include "base/result.h"
#include "datapath/kernel_maps.h"
#include "datapath/pin_path.h"

struct bpf_object;

namespace sockmesh {

// Whether a pin of a map, or of a page, is missing. Looks at the pages' folder, not at each page.
bool mapPinsMissing(const PinPath& pins);

// Pins what is not pinned: `object` has the maps, `maps` the pages. Needs CAP_SYS_ADMIN for pages.
Status restoreMapPins(const PinPath& pins, const bpf_object* object, const KernelMaps& maps);

}  // namespace sockmesh
