// SPDX-License-Identifier: Apache-2.0
// Long work asks a Breather at every step whether it is time to let others run, see LongWork.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/clock.h"

namespace sockmesh {

class Breather {
 public:
  // For work that nobody waits for: it never pauses.
  Breather() = default;
  // Calls `pause` when a step begins later than `slice` after the last pause. One thread.
  Breather(Nanos slice, std::function<void()> pause)
      : slice_(slice), pause_(std::move(pause)), began_(clock_.monotonic()) {}
  Breather(const Breather&) = delete;
  Breather& operator=(const Breather&) = delete;

  // Call between two steps, at least every hundred microseconds. True where it paused: others have
  // run, and iterators into what they may change are not valid any more.
  bool operator()() {
    if (!pause_ || ++steps_ % kStepsBetweenLooks != 0) return false;
    if (clock_.monotonic() - began_ < slice_) return false;
    pause_();
    began_ = clock_.monotonic();
    return true;
  }

 private:
  static constexpr std::uint32_t kStepsBetweenLooks = 16;

  SystemClock clock_;
  Nanos slice_{0};
  std::function<void()> pause_;
  Nanos began_{0};
  std::uint32_t steps_ = 0;
};

}  // namespace sockmesh
