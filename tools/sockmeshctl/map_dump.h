// SPDX-License-Identifier: Apache-2.0
// Rows of each map, decoded: addresses as text, ports in host order, numbers that have names by
// name, and ids beside what they stand for. Every row of a map has the same fields in one order.
#pragma once

#include "document.h"
#include "node_view.h"

namespace sockmesh::ctl {

Json dumpFrontends(const NodeView& view, bool v4);
// The bit of each service. A service whose bit is not set is not found.
Json dumpFrontendFilter(const NodeView& view);
Json dumpRanges(const NodeView& view);
Json dumpHeads(const NodeView& view);
Json dumpDescriptors(const NodeView& view);
Json dumpGroups(const NodeView& view);
// Cells have no type of their own: they are walked from the services that refer to them, each
// range once, under its first use.
Json dumpCells(const NodeView& view);

Json dumpEndpoints(const NodeView& view);
Json dumpEndpointState(const NodeView& view);
Json dumpEndpointStats(const NodeView& view);  // sums of the shards
Json dumpClusterState(const NodeView& view);
Json dumpClusterStats(const NodeView& view);  // sums of the shards
Json dumpUnswept(const NodeView& view);

Json dumpConnections(const NodeView& view);
Json dumpConnOverflow(const NodeView& view);
Json dumpAffinity(const NodeView& view);  // by VIP, then by client
Json dumpFlows(const NodeView& view);
Json dumpFlowSources(const NodeView& view);
Json dumpServed(const NodeView& view);
Json dumpUnserved(const NodeView& view);
Json dumpNames(const NodeView& view);
Json dumpClients(const NodeView& view);
Json dumpClientRuns(const NodeView& view);
Json dumpCounters(const NodeView& view);  // sums over CPUs
Json dumpGlobals(const NodeView& view);
Json dumpSelections(const NodeView& view);
Json dumpSelectionTimes(const NodeView& view);

}  // namespace sockmesh::ctl
