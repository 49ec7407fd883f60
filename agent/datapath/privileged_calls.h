// SPDX-License-Identifier: Apache-2.0
// The few calls of a running agent that need CAP_SYS_ADMIN: repairs after another process removed
// pins or unmounted the bpffs, and the end of a start that fails. The agent gives up CAP_SYS_ADMIN
// at its start, so another process may make these calls for it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

class PrivilegedCalls {
 public:
  virtual ~PrivilegedCalls() = default;

  // As ensureBpffs().
  virtual Status mountBpffs(const std::string& root) = 0;
  // As unmountOwnBpffs().
  virtual bool unmountBpffs(const std::string& root) = 0;
  // The map at `index` of `outer`, an array of maps. Whoever has `outer` has put the map there, so
  // this gives nobody a map that is not its own.
  virtual Result<UniqueFd> openInner(int outer, std::uint32_t index) = 0;
};

// Makes the calls in this process, with its own capabilities.
class DirectCalls final : public PrivilegedCalls {
 public:
  Status mountBpffs(const std::string& root) override;
  bool unmountBpffs(const std::string& root) override;
  Result<UniqueFd> openInner(int outer, std::uint32_t index) override;
};

}  // namespace sockmesh
