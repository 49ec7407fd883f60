// SPDX-License-Identifier: Apache-2.0
#include "datapath/bpffs.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sockmesh {
namespace {

bool holdsNothing(const std::string& bpffs) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(bpffs, failed)) {
    // The kernel's own entries, on kernels that have them: maps.debug, progs.debug.
    if (entry.path().extension() != ".debug") return false;
  }
  return !failed;
}

}  // namespace

Status ensureBpffs(const std::string& root) {
  std::error_code failed;
  std::filesystem::create_directories(root, failed);
  if (failed) return Error(root + ": " + failed.message());
  struct statfs fs {};
  if (statfs(root.c_str(), &fs) != 0) return Error::fromErrno(root, errno);
  if (fs.f_type == BPF_FS_MAGIC) return {};
  if (mount(kBpffsSource, root.c_str(), "bpf", 0, "mode=0700") != 0) {
    const int reason = errno;
    const std::string hint =
        reason == EPERM ? " (mount one there first: mount -t bpf bpf " + root + ")" : "";
    return Error("no bpffs is mounted at " + root +
                 ", and mounting one failed: " + std::strerror(reason) + hint);
  }
  return {};
}

bool unmountOwnBpffs(const std::string& root) {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string source, point, rest; mounts >> source >> point && std::getline(mounts, rest);) {
    if (point != root || source != kBpffsSource) continue;
    return holdsNothing(root) && umount(root.c_str()) == 0;
  }
  return false;
}

}  // namespace sockmesh
