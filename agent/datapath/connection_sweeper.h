// SPDX-License-Identifier: Apache-2.0
// Ends the connection records whose sockets are gone without a word (bpf/hooks/sweep.h), some
// at a time. Control thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "maps/kernel_maps.h"
#include "sockmesh_abi.h"

namespace sockmesh {

class ConnectionSweeper {
 public:
  struct Turn {
    bool last = false;        // the pass over all records is complete; the next turn begins another
    std::uint32_t gone = 0;   // records whose socket is gone, seen for the first time
    std::uint32_t ended = 0;  // those that an earlier pass saw, ended now
  };

  // Descriptors of the loaded programs sm_sweep_sets and sm_sweep_overflow; they and `maps`
  // outlive this.
  ConnectionSweeper(const KernelMaps& maps, int setsProgram, int overflowProgram)
      : maps_(maps), setsProgram_(setsProgram), overflowProgram_(overflowProgram) {}

  // Looks at the next few thousand records. Between two passes the caller waits a grace period. An
  // error is the kernel's (errno inside); the pass is then over, and the next turn begins another.
  Result<Turn> turn();

 private:
  Status sweepSets(Turn& turn);
  Status sweepOverflow(Turn& turn);
  void begin();

  const KernelMaps& maps_;
  int setsProgram_;
  int overflowProgram_;
  std::uint32_t set_ = 0;                        // the next one
  std::optional<std::uint32_t> overflowCursor_;  // the kernel's; empty: at the beginning
};

}  // namespace sockmesh
