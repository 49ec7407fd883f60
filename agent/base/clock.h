// SPDX-License-Identifier: Apache-2.0
// Time behind an interface, so that timers and detectors can be tested under a manual clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace sockmesh {

using Nanos = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  // CLOCK_MONOTONIC, the clock that bpf_ktime_get_ns() reads in the kernel.
  virtual Nanos monotonic() const = 0;
  // CLOCK_REALTIME since the epoch; for people and logs only, never for intervals.
  virtual Nanos wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Nanos monotonic() const override;
  Nanos wall() const override;
};

// Stands still until told otherwise.
class ManualClock final : public Clock {
 public:
  Nanos monotonic() const override { return now_; }
  Nanos wall() const override { return now_; }
  void advance(Nanos by) { now_ += by; }
  void set(Nanos now) { now_ = now; }

 private:
  Nanos now_{std::chrono::seconds(1)};
};

}  // namespace sockmesh
