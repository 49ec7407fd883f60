// What a change of the folder took away.
#pragma once

#include <string>
#include <vector>

#include "resource_folder.h"

namespace sockmesh {

// A line for each file whose resources are not served any more, by any file: "a.yaml is gone, and
// with it Cluster \"a\", Listener \"b\"". A resource that moved to another file is not among them.
std::vector<std::string> withdrawals(const FolderContents& before, const FolderContents& now);

}  // namespace sockmesh
