// SPDX-License-Identifier: Apache-2.0
// Slow start: new endpoints begin with a part of their weight (ROUND_ROBIN, LEAST_REQUEST).
#pragma once

#include <map>
#include <optional>

#include "base/clock.h"
#include "model/cluster.h"

namespace sockmesh {

// max(min_weight_percent / 100, (max(1 ms, age) / window) ^ (1 / aggression)), and 1 from the end
// of the window on and while slow start is off. An aggression that is not a positive number counts
// as 1.
double slowStartFactor(const SlowStart& config, Nanos age);

// When each endpoint of one cluster was first seen healthy. Removal from the assignment restarts
// the time, ejection does not.
class SlowStartAges {
 public:
  // Takes note of the endpoints of `assignment`. New endpoints that EDS calls healthy start now.
  // Endpoints that are gone are forgotten.
  void observe(const LoadAssignment& assignment, Nanos now);

  double factor(const SlowStart& config, const SocketAddress& address, Nanos now) const;

  // When the factors should be computed again: in 1/128 of the window (100 ms to 5 s), while any
  // endpoint is in its window.
  std::optional<Nanos> nextChange(const SlowStart& config, Nanos now) const;

 private:
  std::map<SocketAddress, Nanos> since_;
};

}  // namespace sockmesh
