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

// `declared` is the operator's --cgroup-root: any directory of cgroup v2, taken as it is. Where it
// is empty, the mount table is searched, also where v1 and v2 stand side by side, and the true
// root (inode 1) is wanted: in a cgroup namespace a subtree poses as the root, and programs
// attached there would miss every other pod. `mountinfo` is /proc/self/mountinfo but for tests.
Result<CgroupRoot> openCgroupRoot(const std::string& declared,
                                  const std::string& mountinfo = "/proc/self/mountinfo");

// The source that /proc/self/mounts shows for a bpffs of ours: it tells which one --cleanup
// unmounts.
inline constexpr const char* kBpffsSource = "sockmesh";

// Makes sure that `root` is a bpf filesystem, mounting one where it is not.
Status ensureBpffs(const std::string& root);

}  // namespace sockmesh
