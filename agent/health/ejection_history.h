// What the log has told of one endpoint, held against its line: the events that are still to be
// told. The kernel's hints may be late or lost, so events come from the line, not from the hints.
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
  // Nothing in this line is news: an earlier agent has told of it.
  void adopt(const EndpointState& state);
  // What the line has that was not told yet, in order, without `cluster` and `address`. Of several
  // ejections that were missed only the last.
  std::vector<EjectionEvent> update(const EndpointState& state);

  std::uint32_t ejections() const { return ejections_; }
  Nanos returnedAt() const { return returnedAt_; }  // the last return, 0: none

 private:
  EjectionEvent returnEvent(Nanos at) const;

  bool ejected_ = false;
  Detector detector_ = Detector::kConsecutive5xx;
  std::uint32_t ejections_ = 0;
  Nanos ejectedAt_{0};
  Nanos returnedAt_{0};
};

}  // namespace sockmesh
