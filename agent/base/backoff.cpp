// SPDX-License-Identifier: Apache-2.0
#include "base/backoff.h"

#include <algorithm>

namespace sockmesh {

Nanos Backoff::next() {
  interval_ = interval_ == Nanos(0) ? base_ : std::min(interval_ * 2, max_);
  interval_ = std::min(interval_, max_);
  if (!random_) return interval_;
  std::uniform_int_distribution<Nanos::rep> uniform(0,
                                                    std::max<Nanos::rep>(interval_.count(), 1) - 1);
  return Nanos(uniform(*random_));
}

}  // namespace sockmesh
