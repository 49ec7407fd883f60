// SPDX-License-Identifier: Apache-2.0
// Asks the agent's admin server. Blocks for at most two seconds, except where it says otherwise.
#pragma once

#include <string>
#include <vector>

#include "commands.h"

namespace sockmesh::ctl {

// `address` is IP:PORT.
AgentReport askAgent(const std::string& address);
// `vip` is IP:PORT, or "" for all.
AgentRoutes askRoutes(const std::string& address, const std::string& vip);
// Empty where the agent does not answer.
AgentNames askNames(const std::string& address);
AgentAnswer readLogging(const std::string& address);
// Waits for at most a minute: the agent reads all maps.
AgentAnswer askVerification(const std::string& address);
// Over the Unix socket. Waits for at most a minute, until the tables are written.
AgentAnswer askRepair(const std::string& socketPath);
// Over the Unix socket, which takes changes from root. Each of `levels` is LEVEL or SCOPE=LEVEL.
AgentAnswer changeLogging(const std::string& socketPath, const std::vector<std::string>& levels);

}  // namespace sockmesh::ctl
