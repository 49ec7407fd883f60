// SPDX-License-Identifier: Apache-2.0
// What a change of the folder took away.
#pragma once

#include <string>
#include <vector>

#include "resource_folder.h"

namespace sockmesh {

// A line for each file with resources that no file serves any more: "a.yaml is gone, and with it
// Cluster \"a\", Listener \"b\"". A resource that moved to another file is not among them.
std::vector<std::string> withdrawals(const FolderContents& before, const FolderContents& now);

}  // namespace sockmesh
