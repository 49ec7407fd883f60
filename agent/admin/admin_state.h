// SPDX-License-Identifier: Apache-2.0
// What the admin server shows of other threads: immutable values behind atomic pointers. Writers
// store a new value when something changed. Handlers load the value and never touch the writers'
// own state.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/listener.h"
#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

struct Readiness {
  bool ready = false;
  std::vector<std::string> reasons;     // why not, one line each
  std::vector<std::string> notes = {};  // what a ready agent still waits for, one line each
};

struct AdminState {
  // Set before the server starts.
  std::string nodeId;
  std::string nodeNamespace;  // whose view istiod gives; "" where the node id has none
  Nanos startedAt{0};         // CLOCK_REALTIME

  // Null until first stored. No readiness means "not ready: starting".
  std::atomic<std::shared_ptr<const Readiness>> readiness;
  std::atomic<std::shared_ptr<const Snapshot>> snapshot;
  std::atomic<std::shared_ptr<const AgentStats>> stats;
  // LbTables::conflicts: listeners that claim one VIP and the like.
  std::atomic<std::shared_ptr<const std::vector<LeftAlone>>> conflicts;
};

}  // namespace sockmesh
