// SPDX-License-Identifier: Apache-2.0
// Restores the maps' pins if another process removed them. Without pins no later agent and no tool
// finds the maps. Control thread.
#pragma once

#include <string>

#include "base/result.h"
#include "datapath/privileged_calls.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"

struct bpf_object;

namespace sockmesh {

// Makes the folders of `pins` that are missing. Existing folders must be private.
Status makePinFolders(const PinPath& pins);

// Whether a pin of a map, or of a page, is missing. Looks at the pages' folder, not at each page.
bool mapPinsMissing(const PinPath& pins);

// Pins what is not pinned: `object` has the maps, `maps` the pages, and `calls` opens pages.
Status restoreMapPins(const PinPath& pins, const bpf_object* object, const KernelMaps& maps,
                      PrivilegedCalls& calls);

}  // namespace sockmesh
