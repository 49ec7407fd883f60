// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

namespace sockmesh {
namespace {

Nanos read(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return std::chrono::seconds(ts.tv_sec) + Nanos(ts.tv_nsec);
}

}  // namespace

Nanos SystemClock::monotonic() const {
  return read(CLOCK_MONOTONIC);
}
Nanos SystemClock::wall() const {
  return read(CLOCK_REALTIME);
}

}  // namespace sockmesh
