// SPDX-License-Identifier: Apache-2.0
// How long the turns of an event loop took. Written by the loop's thread, read by any.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace sockmesh {

class TurnTimes {
 public:
  // Upper bounds, ascending. The count behind the last one is of longer turns.
  static constexpr std::array kBounds = {
      Nanos(100'000),     Nanos(1'000'000),   Nanos(5'000'000),
      Nanos(10'000'000),  Nanos(25'000'000),  Nanos(50'000'000),
      Nanos(100'000'000), Nanos(250'000'000), Nanos(1'000'000'000)};

  void observe(Nanos turn) {
    const auto bucket = std::ranges::lower_bound(kBounds, turn) - kBounds.begin();
    ++counts_[static_cast<std::size_t>(bucket)];
    sum_ += turn.count();
    longest_ = std::max(longest_.load(), turn.count());
  }

  // One for each bound, and one more.
  std::vector<std::uint64_t> counts() const { return {counts_.begin(), counts_.end()}; }
  Nanos sum() const { return Nanos(sum_); }
  Nanos longest() const { return Nanos(longest_); }

 private:
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<Nanos::rep> sum_{0};
  std::atomic<Nanos::rep> longest_{0};
};

}  // namespace sockmesh
