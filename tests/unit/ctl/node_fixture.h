// SPDX-License-Identifier: Apache-2.0
// A node made by hand: two clusters behind one split VIP, one VIP that is left alone, one VIP that
// refuses.
#pragma once

#include <string>

#include "commands.h"
#include "node_view.h"
#include "output.h"

namespace sockmesh::ctl::test {

NodeView makeNode();
// What was selected 1.5 s ago at 10.96.0.10:80, for a pod.
sm_selection makeSelection();
// A pod of that node connected to a VIP 30 s ago and was left alone.
void addPodWithSidecar(NodeView& node);

// The document as text; a Failure as "exit CODE: message".
std::string shown(const Outcome& outcome, Format format, bool headers = true);

// An attachment of one of our programs at `hook` of the root cgroup, alone there.
Attachment attached(const std::string& program, const std::string& hook, std::uint32_t id);

}  // namespace sockmesh::ctl::test
