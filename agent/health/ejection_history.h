// SPDX-License-Identifier: Apache-2.0
// Compares what the log has told of one endpoint with the endpoint's state, and finds the events
// that are still to be told. The kernel's hints may be late or lost, so events come from the state,
// not from the hints.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "health/ejection_event.h"
#include "health/state_access.h"
#include "model/ejection.h"

namespace sockmesh {

class EjectionHistory {
 public:
  // Takes this state as told: an earlier agent has logged it.
  void adopt(const EndpointState& state);
  // The events of this state that were not told yet, in order, without `cluster` and `address`. Of
  // several missed ejections only the last one.
  std::vector<EjectionEvent> update(const EndpointState& state);

  std::uint32_t ejections() const { return ejections_; }
  Nanos unejectedAt() const { return unejectedAt_; }  // the last return, 0: none

 private:
  EjectionEvent unejectEvent(Nanos at) const;

  bool ejected_ = false;
  Detector detector_ = Detector::kConsecutive5xx;
  std::uint32_t ejections_ = 0;
  Nanos ejectedAt_{0};
  Nanos unejectedAt_{0};
};

}  // namespace sockmesh
