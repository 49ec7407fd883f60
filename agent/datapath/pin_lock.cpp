// SPDX-License-Identifier: Apache-2.0
#include "datapath/pin_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace sockmesh {

Result<UniqueFd> lockPins(const std::string& bpffsRoot) {
  UniqueFd fd(open(bpffsRoot.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Error::fromErrno(bpffsRoot, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return Error::fromErrno("locking " + bpffsRoot, errno);
  return Error("another sockmeshd runs on " + bpffsRoot + ": end that agent first");
}

}  // namespace sockmesh
