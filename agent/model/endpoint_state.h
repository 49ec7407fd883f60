// SPDX-License-Identifier: Apache-2.0
// What the kernel keeps of an endpoint's outcomes and ejections (sm_endpoint_state), in words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "model/ejection.h"

namespace sockmesh {

// Times are CLOCK_MONOTONIC; 0: never.
struct EndpointState {
  bool ejected = false;
  Nanos ejectedUntil{0};  // while ejected; not before this does it return
  Nanos ejectedAt{0};     // the last ejection
  Nanos unejectedAt{0};   // the last return
  std::uint32_t ejections = 0;
  std::uint32_t multiplier = 0;                   // of base_ejection_time
  Detector detector = Detector::kConsecutive5xx;  // of the last ejection
  // Connect attempts since the endpoint's id was given: established, and failed so that it may be
  // the endpoint's fault. Both only grow, and wrap around. By client: a few clients share an entry
  // where there are more than entries.
  struct Outcomes {
    std::uint32_t successes = 0;
    std::uint32_t failures = 0;
  };
  static constexpr std::size_t kClients = 16;
  std::array<Outcomes, kClients> outcomes{};
  // Of all clients.
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
};

}  // namespace sockmesh
