// SPDX-License-Identifier: Apache-2.0
// Asks the agent's admin server. Blocks for at most two seconds.
#pragma once

#include <string>
#include <vector>

#include "commands.h"

namespace sockmesh::ctl {

// `address` is IP:PORT.
AgentReport askAgent(const std::string& address);
// `vip` is IP:PORT, or "" for all.
AgentRoutes askRoutes(const std::string& address, const std::string& vip);
LoggingAnswer readLogging(const std::string& address);
// Over the Unix socket, which takes changes from root. Each of `levels` is LEVEL or SCOPE=LEVEL.
LoggingAnswer changeLogging(const std::string& socketPath, const std::vector<std::string>& levels);

}  // namespace sockmesh::ctl
