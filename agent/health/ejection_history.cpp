// SPDX-License-Identifier: Apache-2.0
#include "health/ejection_history.h"

namespace sockmesh {

void EjectionHistory::adopt(const EndpointState& state) {
  ejected_ = state.ejected;
  detector_ = state.detector;
  ejections_ = state.ejections;
  ejectedAt_ = state.ejectedAt;
  unejectedAt_ = state.unejectedAt;
}

EjectionEvent EjectionHistory::unejectEvent(Nanos at) const {
  EjectionEvent event;
  event.action = EjectionEvent::Action::kUneject;
  event.detector = detector_;
  event.at = at;
  event.sinceLastAction = at - ejectedAt_;
  event.ejections = ejections_;
  return event;
}

std::vector<EjectionEvent> EjectionHistory::update(const EndpointState& state) {
  std::vector<EjectionEvent> events;
  // The kernel counts an ejection last. Until the count is there, the ejection is half written.
  if (state.ejections != ejections_) {
    const bool next = state.ejections == ejections_ + 1;
    const bool returnIsBefore =
        state.unejectedAt.count() > 0 && state.unejectedAt <= state.ejectedAt;
    if (ejected_ && next && returnIsBefore && state.unejectedAt >= ejectedAt_)
      events.push_back(unejectEvent(state.unejectedAt));

    EjectionEvent event;
    event.detector = state.detector;
    event.at = state.ejectedAt;
    event.ejections = state.ejections;
    event.ejectedUntil = state.ejected ? state.ejectedUntil : Nanos{0};
    if (returnIsBefore)
      event.sinceLastAction = state.ejectedAt - state.unejectedAt;
    else if (next && !ejected_ && unejectedAt_.count() > 0)
      event.sinceLastAction = state.ejectedAt - unejectedAt_;
    events.push_back(event);

    ejected_ = true;
    detector_ = state.detector;
    ejections_ = state.ejections;
    ejectedAt_ = state.ejectedAt;
    if (returnIsBefore) unejectedAt_ = state.unejectedAt;
  }
  // An unejection whose time is not written yet is also half written.
  if (ejected_ && !state.ejected && state.unejectedAt >= ejectedAt_) {
    events.push_back(unejectEvent(state.unejectedAt));
    ejected_ = false;
    unejectedAt_ = state.unejectedAt;
  }
  return events;
}

}  // namespace sockmesh
