// SPDX-License-Identifier: Apache-2.0
// Exponential backoff: delays that double, exact or with jitter.
#pragma once

#include <cstdint>
#include <optional>
#include <random>

#include "base/clock.h"

namespace sockmesh {

class Backoff {
 public:
  // Intervals start at `base` and double up to `max`; both > 0. next() is the interval.
  Backoff(Nanos base, Nanos max) : base_(base), max_(max) {}
  // With full jitter, as Envoy's JitteredExponentialBackOffStrategy, so that nodes that fail
  // together do not come back together: next() is uniform in [0, interval).
  Backoff(Nanos base, Nanos max, std::uint64_t seed) : base_(base), max_(max), random_(seed) {}

  // The next delay; then the interval doubles.
  Nanos next();
  void reset() { interval_ = Nanos(0); }

 private:
  Nanos base_;
  Nanos max_;
  Nanos interval_{0};  // 0: next() starts over
  std::optional<std::mt19937_64> random_;
};

}  // namespace sockmesh
