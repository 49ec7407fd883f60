// One process at a time changes what is pinned: the agent while it runs, or `sockmeshd --cleanup`.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

// Locks the bpffs mounted at `bpffsRoot`, whatever path or mount namespace it is reached by. Held
// until the descriptor is closed; the kernel closes it where the process is killed. An Error at
// once where another process holds it.
Result<UniqueFd> lockPins(const std::string& bpffsRoot);

}  // namespace sockmesh
