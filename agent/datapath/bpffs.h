// SPDX-License-Identifier: Apache-2.0
// The file system of the pins.
#pragma once

#include <string>

#include "base/result.h"

namespace sockmesh {

// The source that /proc/self/mounts shows for a bpffs that the agent mounted. --cleanup unmounts
// such a bpffs.
inline constexpr const char* kBpffsSource = "sockmesh";

// Makes sure that `root` is a bpf filesystem. Mounts one if it is not, which needs CAP_SYS_ADMIN.
Status ensureBpffs(const std::string& root);

// Unmounts a bpffs that ensureBpffs() mounted, if nothing is in it. Whether it did. Needs
// CAP_SYS_ADMIN.
bool unmountOwnBpffs(const std::string& root);

}  // namespace sockmesh
