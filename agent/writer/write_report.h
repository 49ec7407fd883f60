// SPDX-License-Identifier: Apache-2.0
// What a pass over the kernel's tables wrote, and what did not fit or was refused.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "lb/tables.h"
#include "stats/agent_stats.h"

namespace sockmesh {

struct WriteReport {
  std::uint64_t writes = 0;  // calls of the store that changed something
  std::uint32_t servicesAdded = 0;
  std::uint32_t servicesChanged = 0;
  std::uint32_t servicesRemoved = 0;
  // One line of text for each service or cluster that did not fit or that the kernel refused. It
  // keeps its old state, and the next apply() tries again.
  std::vector<std::string> errors;
  // Services that stay as the kernel has them for now.
  HeldStats held;
  // What apply() aimed at: the tables that it was given, with held services in place of their
  // compiled versions. `changed` and `before` are relative to what the last apply() aimed at.
  std::shared_ptr<const LbTables> tables;

  void note(const Status& status) {
    if (!status) errors.push_back(status.error().message());
  }
};

}  // namespace sockmesh
