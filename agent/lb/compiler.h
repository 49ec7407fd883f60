// SPDX-License-Identifier: Apache-2.0
// Snapshot + HealthOverlay -> LbTables: makes every decision of Envoy that can be made before a
// connection. Knows no ids, no kernel and no clock. Equal input gives equal (and shared) output.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "lb/compiler_options.h"
#include "lb/tables.h"
#include "model/changes.h"
#include "model/health_overlay.h"
#include "model/snapshot.h"

namespace sockmesh {

class Compiler {
 public:
  explicit Compiler(CompilerOptions options);
  ~Compiler();

  // `now` is CLOCK_MONOTONIC and never goes back between calls. Clusters whose resources, overlay
  // and time-dependent weights did not change since the last call keep their tables.
  // `changed`: what differs from the last call's snapshot; a cluster whose ejections differ counts
  // as changed. Only these resources, and what depends on them, are looked at.
  std::shared_ptr<const LbTables> compile(const Snapshot& snapshot, const HealthOverlay& overlay,
                                          const Changes& changed, Nanos now);
  // Looks at everything.
  std::shared_ptr<const LbTables> compile(const Snapshot& snapshot, const HealthOverlay& overlay,
                                          Nanos now);

  // The clusters of which anything differed in the last call: resources, ejections or age. Some may
  // be gone. Endpoints of the same addresses may have made the same tables.
  std::set<std::string> takeChangedClusters();

  // When time alone changes the result next (slow start, endpoint_stale_after); nothing: never.
  std::optional<Nanos> nextChange() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sockmesh
