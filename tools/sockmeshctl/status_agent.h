// SPDX-License-Identifier: Apache-2.0
// What `status` says of the agent: from its admin server, or that no agent answers.
#pragma once

#include "commands.h"

namespace sockmesh::ctl {

// Adds "agent" to `out`. `globals` tell whether an agent ever registered its process.
void addAgent(const sm_globals& globals, const AgentReport& agent, Document& out);

}  // namespace sockmesh::ctl
