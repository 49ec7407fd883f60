// SPDX-License-Identifier: Apache-2.0
#include "datapath/privileged_calls.h"

#include <bpf/bpf.h>

#include <cerrno>

#include "datapath/bpffs.h"

namespace sockmesh {

Status DirectCalls::mountBpffs(const std::string& root) {
  return ensureBpffs(root);
}

bool DirectCalls::unmountBpffs(const std::string& root) {
  return unmountOwnBpffs(root);
}

Result<UniqueFd> DirectCalls::openInner(int outer, std::uint32_t index) {
  std::uint32_t id = 0;
  if (bpf_map_lookup_elem(outer, &index, &id) != 0) return Error::fromErrno("an inner map", errno);
  UniqueFd fd(bpf_map_get_fd_by_id(id));
  if (!fd.valid()) return Error::fromErrno("an inner map", errno);
  return fd;
}

}  // namespace sockmesh
