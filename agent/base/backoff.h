// Exponential backoff with full jitter, as Envoy's JitteredExponentialBackOffStrategy.
#pragma once

#include <random>

#include "base/clock.h"

namespace sockmesh {

class Backoff {
 public:
  // Intervals start at `base` and double up to `max`; both > 0.
  Backoff(Nanos base, Nanos max, std::uint64_t seed) : base_(base), max_(max), random_(seed) {}

  // Uniform in [0, interval); then the interval doubles.
  Nanos next();
  void reset() { interval_ = Nanos(0); }

 private:
  Nanos base_;
  Nanos max_;
  Nanos interval_{0};  // 0: next() starts over
  std::mt19937_64 random_;
};

}  // namespace sockmesh
