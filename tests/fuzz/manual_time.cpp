// SPDX-License-Identifier: Apache-2.0
// In place of agent/base/clock.cpp.
#include "manual_time.h"

#include <atomic>

namespace sockmesh {
namespace {

std::atomic<std::int64_t> nanos{std::int64_t{1} << 60};

}  // namespace

Nanos SystemClock::monotonic() const {
  return Nanos(nanos);
}
Nanos SystemClock::wall() const {
  return Nanos(nanos);
}

void fuzz::advanceTime(Nanos by) {
  nanos += by.count();
}

}  // namespace sockmesh
