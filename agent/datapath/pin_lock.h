// SPDX-License-Identifier: Apache-2.0
// One agent for each folder of pins.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "maps/pin_path.h"

namespace sockmesh {

// Locks the folder of `pins`, by whichever path or mount namespace the bpffs is reached. The folder
// has mode 0700, so that no other user can hold its lock. The lock is held until the descriptor is
// closed; the kernel closes it if the process is killed. If another process holds the lock, this is
// an Error at once. If there is no folder, the errno is ENOENT.
Result<UniqueFd> lockPins(const PinPath& pins);

}  // namespace sockmesh
