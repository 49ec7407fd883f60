// SPDX-License-Identifier: Apache-2.0
// The root of the cgroup v2 hierarchy, where the programs attach.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

struct CgroupRoot {
  std::string path;
  std::uint64_t id = 0;  // its inode: the cgroup id that the kernel knows
  UniqueFd fd;           // O_DIRECTORY
};

// `declared` is the operator's --cgroup-root: any directory of cgroup v2, taken as it is. If it is
// empty, the mount table is searched, also where v1 and v2 are mounted side by side. Then only the
// true root (inode 1) is accepted: in a cgroup namespace a subtree looks like the root, and
// programs attached there would miss every other pod. `mountinfo` is /proc/self/mountinfo, except
// in tests.
Result<CgroupRoot> openCgroupRoot(const std::string& declared,
                                  const std::string& mountinfo = "/proc/self/mountinfo");

}  // namespace sockmesh
