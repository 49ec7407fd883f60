// SPDX-License-Identifier: Apache-2.0
// One process at a time changes what is pinned: the agent while it runs, or `sockmeshd --cleanup`.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

// Locks the bpffs mounted at `bpffsRoot`, by whichever path or mount namespace it is reached. The
// lock is held until the descriptor is closed; the kernel closes it if the process is killed. If
// another process holds the lock, this is an Error at once.
Result<UniqueFd> lockPins(const std::string& bpffsRoot);

}  // namespace sockmesh
