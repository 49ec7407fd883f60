// SPDX-License-Identifier: Apache-2.0
#include "datapath/pin_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

namespace sockmesh {
namespace {

// Whether the path still leads to the locked folder, and not to one that was made since.
bool isAt(int folder, const std::string& path) {
  struct stat locked {};
  struct stat there {};
  return fstat(folder, &locked) == 0 && lstat(path.c_str(), &there) == 0 &&
         locked.st_ino == there.st_ino && locked.st_dev == there.st_dev;
}

}  // namespace

Result<UniqueFd> lockPins(const PinPath& pins) {
  UniqueFd fd(open(pins.folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Error::fromErrno(pins.folder, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
    if (isAt(fd.get(), pins.folder)) return fd;
    return Error(pins.folder + " was removed just now: start again");
  }
  if (errno != EWOULDBLOCK) return Error::fromErrno("locking " + pins.folder, errno);
  return Error("another sockmeshd runs on " + pins.bpffsRoot + ": end that agent first");
}

}  // namespace sockmesh
