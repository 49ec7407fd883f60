// SPDX-License-Identifier: Apache-2.0
// Folders that no other user can change, in a bpffs that every user may write to (the kernel's
// default mode of a bpffs is 1777). Trusted owners are root and the user of this process.
#pragma once

#include <string>

#include "base/result.h"

namespace sockmesh {

// Makes the folder with mode 0700, or takes an existing one. An existing folder of another owner or
// with another mode is an Error with its path, owner and mode: its owner could empty it later.
Status makePrivateFolder(const std::string& path);

// The check alone. No folder at all is an Error with errno ENOENT.
Status checkPrivateFolder(const std::string& path);

// Whether a folder in `bpffs` stays where it is: the bpffs has a trusted owner, and no other user
// can rename entries of others (not writable for others, or with the sticky bit).
Status checkBpffs(const std::string& bpffs);

}  // namespace sockmesh
