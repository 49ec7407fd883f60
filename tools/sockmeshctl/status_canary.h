// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "document.h"
#include "node_view.h"

namespace sockmesh::ctl {

// "effective": what became of the canaries, and who gets to a hook before sockmesh. Sets the exit
// code if a canary was not rewritten.
void addCanaries(const NodeView& view, Document& out);

}  // namespace sockmesh::ctl
