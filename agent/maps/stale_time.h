// SPDX-License-Identifier: Apache-2.0
// The time from which on the programs leave services alone, in the kernel's maps.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "sockmesh_abi.h"

namespace sockmesh {

class StaleTime {
 public:
  // `globals` outlives this.
  explicit StaleTime(sm_globals& globals) : word_(&globals.stale_from_ns) {}

  // CLOCK_MONOTONIC; 0: never. The programs read it on all CPUs.
  void set(Nanos from) const {
    std::atomic_ref<__u64>(*word_).store(static_cast<__u64>(from.count()),
                                         std::memory_order_relaxed);
  }
  Nanos get() const { return Nanos(static_cast<std::int64_t>(*word_)); }

 private:
  __u64* word_;
};

}  // namespace sockmesh
