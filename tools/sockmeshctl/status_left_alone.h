// SPDX-License-Identifier: Apache-2.0
// The part of `status` that says which pods are left alone.
#pragma once

#include <string>

#include "agent_client.h"
#include "document.h"
#include "node_view.h"

namespace sockmesh::ctl {

// Pods that connected to a VIP lately and are not served, each with its reason. A rule by pods is
// named, if the agent is there to name it.
void addLeftAlone(const NodeView& view, const AgentReport& agent, Document& out);

// "2 pods of this node are left alone, among them shop/web-1 by served.leave_out[0]"; "" where none
// is.
std::string leftAloneText(const NodeView& view, const AgentReport& agent);

}  // namespace sockmesh::ctl
