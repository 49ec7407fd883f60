// SPDX-License-Identifier: Apache-2.0
// Which selections the programs sample: words in the kernel's maps, see bpf/select/sample.h. Each
// function may run at any time in any process that has mapped `globals` for writing.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "sockmesh_abi.h"

namespace sockmesh {

// Times one selection in `oneIn` from now on; 1: each, 0: none. It stays so when this process ends.
void timeSelections(sm_globals& globals, std::uint32_t oneIn);

// A watcher's place in sm_globals.watchers. The programs show it one selection in `oneIn`, for as
// long as it renews the claim. Nobody needs to clean up after a watcher that was killed: its claim
// runs out.
class SelectionClaim {
 public:
  // How long a claim holds by default. It is renewed several times as often.
  static constexpr Nanos kLease = std::chrono::seconds(2);

  // Claims nothing yet. `oneIn` is at least 1. `globals` outlives this.
  SelectionClaim(sm_globals& globals, std::uint32_t oneIn, Nanos lease = kLease);
  ~SelectionClaim();
  SelectionClaim(const SelectionClaim&) = delete;
  SelectionClaim& operator=(const SelectionClaim&) = delete;

  // Claims a place, or holds on to it. `now` is of CLOCK_MONOTONIC. False: others have all places.
  bool renew(Nanos now);
  // Selections with a lower hash are shown.
  std::uint32_t bound() const { return bound_; }

 private:
  bool hold(Nanos until);
  bool claim(Nanos now, Nanos until);

  sm_globals& globals_;
  std::uint32_t bound_;
  Nanos lease_;
  sm_watcher* place_ = nullptr;
  __u64 until_ = 0;  // what this has written there
};

}  // namespace sockmesh
