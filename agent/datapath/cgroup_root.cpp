// SPDX-License-Identifier: Apache-2.0
#include "datapath/cgroup_root.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <vector>

namespace sockmesh {
namespace {

// The inode of a cgroup v2 hierarchy's true root (kernfs gives it the first number).
constexpr std::uint64_t kTrueRootInode = 1;

Result<CgroupRoot> openDirectory(const std::string& path) {
  CgroupRoot root;
  root.path = path;
  root.fd = UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.fd.valid()) return Error::fromErrno(path, errno);
  struct statfs fs {};
  if (fstatfs(root.fd.get(), &fs) != 0) return Error::fromErrno(path, errno);
  if (fs.f_type != CGROUP2_SUPER_MAGIC) return Error(path + ": not a cgroup v2 directory");
  struct stat status {};
  if (fstat(root.fd.get(), &status) != 0) return Error::fromErrno(path, errno);
  root.id = status.st_ino;
  return root;
}

// Mount points of type cgroup2, in mount order. Format: see proc(5); the type follows " - ".
Result<std::vector<std::string>> cgroup2Mounts(const std::string& mountinfo) {
  std::ifstream file(mountinfo);
  if (!file) return Error::fromErrno(mountinfo, errno);
  std::vector<std::string> mounts;
  for (std::string line; std::getline(file, line);) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos || !line.substr(separator + 3).starts_with("cgroup2 ")) {
      continue;
    }
    std::istringstream fields(line);
    std::string id, parent, device, mountedRoot, point;
    fields >> id >> parent >> device >> mountedRoot >> point;
    mounts.push_back(point);
  }
  return mounts;
}

}  // namespace

Result<CgroupRoot> openCgroupRoot(const std::string& declared, const std::string& mountinfo) {
  if (!declared.empty()) {
    auto root = openDirectory(declared);
    return root ? std::move(root) : root.error().in("cgroup root");
  }
  auto mounts = cgroup2Mounts(mountinfo);
  if (!mounts) return mounts.error();
  std::string falseRoot;
  for (const std::string& point : *mounts) {
    auto root = openDirectory(point);
    if (!root) continue;  // mounted over, or gone since
    if (root->id == kTrueRootInode) return root;
    falseRoot = point + " (inode " + std::to_string(root->id) + ")";
  }
  if (!falseRoot.empty()) {
    return Error("cgroup v2: " + falseRoot +
                 " is the root of a cgroup namespace or a subtree, not of the hierarchy (inode 1);"
                 " programs there would miss other cgroups. Mount the host's cgroup v2 root or "
                 "declare one with --cgroup-root");
  }
  return Error(
      "no cgroup v2 is mounted; mount it (mount -t cgroup2 none DIR) or give --cgroup-root");
}

}  // namespace sockmesh
