// SPDX-License-Identifier: Apache-2.0
// The part of `status` that says which pods are left alone.
#pragma once

#include <string>

#include "document.h"
#include "node_view.h"

namespace sockmesh::ctl {

// Pods that connected to a VIP lately and are not served, each with its reason.
void addLeftAlone(const NodeView& view, Document& out);

// "2 pods of this node are left alone"; "" where none is.
std::string leftAloneText(const NodeView& view);

}  // namespace sockmesh::ctl
