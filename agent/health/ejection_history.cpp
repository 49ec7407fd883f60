#include "health/ejection_history.h"

namespace sockmesh {

void EjectionHistory::adopt(const EndpointState& state) {
  ejected_ = state.ejected;
  detector_ = state.detector;
  ejections_ = state.ejections;
  ejectedAt_ = state.ejectedAt;
  returnedAt_ = state.returnedAt;
}

EjectionEvent EjectionHistory::returnEvent(Nanos at) const {
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
    const bool returnIsBefore = state.returnedAt.count() > 0 && state.returnedAt <= state.ejectedAt;
    if (ejected_ && next && returnIsBefore && state.returnedAt >= ejectedAt_)
      events.push_back(returnEvent(state.returnedAt));

    EjectionEvent event;
    event.detector = state.detector;
    event.at = state.ejectedAt;
    event.ejections = state.ejections;
    event.ejectedUntil = state.ejected ? state.ejectedUntil : Nanos{0};
    if (returnIsBefore)
      event.sinceLastAction = state.ejectedAt - state.returnedAt;
    else if (next && !ejected_ && returnedAt_.count() > 0)
      event.sinceLastAction = state.ejectedAt - returnedAt_;
    events.push_back(event);

    ejected_ = true;
    detector_ = state.detector;
    ejections_ = state.ejections;
    ejectedAt_ = state.ejectedAt;
    if (returnIsBefore) returnedAt_ = state.returnedAt;
  }
  // An unejection whose time is not written yet is also half written.
  if (ejected_ && !state.ejected && state.returnedAt >= ejectedAt_) {
    events.push_back(returnEvent(state.returnedAt));
    ejected_ = false;
    returnedAt_ = state.returnedAt;
  }
  return events;
}

}  // namespace sockmesh
