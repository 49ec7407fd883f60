#include "health/ejection_history.h"

namespace sockmesh {

void EjectionHistory::adopt(const EndpointLine& line) {
  ejected_ = line.ejected;
  detector_ = line.detector;
  ejections_ = line.ejections;
  ejectedAt_ = line.ejectedAt;
  returnedAt_ = line.returnedAt;
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

std::vector<EjectionEvent> EjectionHistory::update(const EndpointLine& line) {
  std::vector<EjectionEvent> events;
  // The kernel counts an ejection last of all, so until then it is only half written.
  if (line.ejections != ejections_) {
    const bool next = line.ejections == ejections_ + 1;
    const bool returnIsBefore = line.returnedAt.count() > 0 && line.returnedAt <= line.ejectedAt;
    if (ejected_ && next && returnIsBefore && line.returnedAt >= ejectedAt_)
      events.push_back(returnEvent(line.returnedAt));

    EjectionEvent event;
    event.detector = line.detector;
    event.at = line.ejectedAt;
    event.ejections = line.ejections;
    event.ejectedUntil = line.ejected ? line.ejectedUntil : Nanos{0};
    if (returnIsBefore)
      event.sinceLastAction = line.ejectedAt - line.returnedAt;
    else if (next && !ejected_ && returnedAt_.count() > 0)
      event.sinceLastAction = line.ejectedAt - returnedAt_;
    events.push_back(event);

    ejected_ = true;
    detector_ = line.detector;
    ejections_ = line.ejections;
    ejectedAt_ = line.ejectedAt;
    if (returnIsBefore) returnedAt_ = line.returnedAt;
  }
  // Likewise a return whose time is not written yet.
  if (ejected_ && !line.ejected && line.returnedAt >= ejectedAt_) {
    events.push_back(returnEvent(line.returnedAt));
    ejected_ = false;
    returnedAt_ = line.returnedAt;
  }
  return events;
}

}  // namespace sockmesh
