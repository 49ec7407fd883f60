// SPDX-License-Identifier: Apache-2.0
// Tells people and log collectors of ejections: Envoy's outlier event log with a line of JSON
// (envoy.data.cluster.v3.OutlierDetectionEvent) for each event, and the same in words in the
// agent's own log.
#pragma once

#include <string>

#include "base/clock.h"
#include "health/ejection_event.h"

namespace sockmesh {

// As Envoy prints it: proto3 JSON with the proto's own field names, and with fields that have their
// default value. No newline. `at` is the event's time since the epoch.
std::string ejectionJson(const EjectionEvent& event, Nanos at);
// "cluster c: 10.0.0.1:80 ejected (consecutive_5xx), 2nd time, until 2026-01-02T03:04:05Z";
// `until` is a time since the epoch. 0: not known.
std::string ejectionText(const EjectionEvent& event, Nanos until);

class EjectionLog {
 public:
  // `clock` outlives the log. With an empty path there are only words in the agent's log.
  EjectionLog(const Clock& clock, std::string path);

  // Opens the file for each event. Ejections are rare, and a tool that moves the file away
  // (logrotate) need not notify the agent.
  void write(const EjectionEvent& event);

 private:
  const Clock& clock_;
  std::string path_;
  bool failing_ = false;
};

}  // namespace sockmesh
