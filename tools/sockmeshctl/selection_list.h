// SPDX-License-Identifier: Apache-2.0
// Single selections in words: for `monitor --selections` and `map dump selections`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/address.h"
#include "node_view.h"
#include "sockmesh_abi.h"

namespace sockmesh::ctl {

// What a watcher has seen.
struct WatchedSelections {
  std::vector<sm_selection> selections;  // in order
  std::uint64_t lost = 0;                // of all who watch: came too fast
  std::uint32_t oneIn = 1;
  std::int64_t realMinusMonotonicNs = 0;  // what makes a time of day of `at_ns`
};

SocketAddress vipOf(const sm_selection& one);
// The first address of the endpoint. Only where the selection has one.
SocketAddress endpointOf(const sm_selection& one);
std::string clusterOf(const NodeView& view, const sm_selection& one);
// "selection", or what became of a connection that went to no endpoint: "refused", "left_alone".
std::string eventOf(const sm_selection& one);
// "no_endpoints"; "" of a selection.
std::string reasonOf(const sm_selection& one);
// The path of the pod's cgroup; "" where no pod asked, or the view does not have the path.
std::string podCgroupOf(const NodeView& view, const sm_selection& one);
// The name of the process' thread, as it was set.
std::string threadOf(const sm_selection& one);
std::string kindOf(const sm_selection& one);  // "connect", "flow"

// All of it except the time of day.
Json selectionJson(const NodeView& view, const sm_selection& one);

}  // namespace sockmesh::ctl
