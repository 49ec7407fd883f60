// SPDX-License-Identifier: Apache-2.0
// What the agent's /status says about configuration that is not honoured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "commands.h"

namespace sockmesh::ctl {

struct NotHonouredResource {
  std::string kind;  // "Cluster", "Listener"
  std::string name;
  std::vector<std::string> fields;  // each "field: why"
};

// Nothing if the agent does not run or does not know yet.
std::optional<std::vector<NotHonouredResource>> notHonouredOf(const AgentReport& agent);

// Why `service` (a listener's name) needs layer 7, a line for each of its clusters: "hash policy:
// header x-user (cluster reviews)". The kernel only has the flag, so without the agent there is one
// general line.
std::vector<std::string> layerSevenReasons(const AgentReport& agent, const std::string& service);

}  // namespace sockmesh::ctl
