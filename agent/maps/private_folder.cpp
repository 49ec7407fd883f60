// SPDX-License-Identifier: Apache-2.0
#include "maps/private_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sockmesh {
namespace {

constexpr mode_t kOfOthers = S_IRWXG | S_IRWXO;

bool isTrusted(uid_t owner) {
  return owner == 0 || owner == geteuid();
}

std::string trustedOwners() {
  return geteuid() == 0 ? "root" : fmt::format("root or uid {}", geteuid());
}

// "PATH belongs to uid 1000 and has mode 0755".
std::string describe(const std::string& path, const struct stat& status) {
  if (S_ISLNK(status.st_mode))
    return path + " is a symbolic link of uid " + std::to_string(status.st_uid);
  return fmt::format("{} belongs to uid {} and has mode {:04o}", path, status.st_uid,
                     status.st_mode & 07777);
}

}  // namespace

Status checkPrivateFolder(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return Error::fromErrno(path, errno);
  if (S_ISDIR(status.st_mode) && isTrusted(status.st_uid) && (status.st_mode & kOfOthers) == 0) {
    return {};
  }
  return Error(fmt::format(
      "{}, so that another user could keep the agent out or empty it: it has to be a folder of {} "
      "with mode 0700; remove it, or give another --bpffs-root",
      describe(path, status), trustedOwners()));
}

Status makePrivateFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return Error::fromErrno(path, errno);
  return checkPrivateFolder(path);
}

Status checkBpffs(const std::string& bpffs) {
  struct stat status {};
  if (stat(bpffs.c_str(), &status) != 0) return Error::fromErrno(bpffs, errno);
  const bool othersRename =
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (isTrusted(status.st_uid) && !othersRename) return {};
  return Error(fmt::format(
      "{}, so that another user could remove what the agent pins there: it has to belong to {} and "
      "not be writable for others, or have the sticky bit (chmod 1777)",
      describe(bpffs, status), trustedOwners()));
}

}  // namespace sockmesh
