// What `status` says of what is configured and not followed in everything.
#pragma once

#include "commands.h"

namespace sockmesh::ctl {

// From the agent: fields without effect, listeners that make no VIP, conflicts. Nothing where it is
// not there; in JSON, all of that is in "agent".
void addNotHonoured(const AgentReport& agent, Document& out);

// Adds "needsLayer7": services by the kernel's flag, with the agent's reasons where it is there.
void addLayerSeven(const NodeView& view, const AgentReport& agent, Document& out);

// Adds "unreachedSockets", services without an endpoint for IPv4 or IPv6-only sockets, and
// "unreachableEndpoints", endpoints that no connection reaches; from the kernel's tables.
void addUnreachable(const NodeView& view, Document& out);

}  // namespace sockmesh::ctl
