// SPDX-License-Identifier: Apache-2.0
// What `status` says about configuration that is not honoured.
#pragma once

#include "commands.h"

namespace sockmesh::ctl {

// From the agent: fields without effect, listeners that make no VIP, conflicts. Nothing if the
// agent does not answer. In JSON all of this is in "agent".
void addNotHonoured(const AgentReport& agent, Document& out);

// Adds "needsLayer7": services by the kernel's flag, with the agent's reasons if it answers.
void addLayerSeven(const NodeView& view, const AgentReport& agent, Document& out);

// Adds "unreachedSockets", services without an endpoint for IPv4 or IPv6-only sockets, and
// "unreachableEndpoints", endpoints that no connection reaches; from the kernel's tables.
void addUnreachable(const NodeView& view, Document& out);

}  // namespace sockmesh::ctl
