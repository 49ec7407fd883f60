// SPDX-License-Identifier: Apache-2.0
// What happened between two readings of the counters. Nothing is switched on in the kernel: the
// programs count whether somebody looks or not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "node_view.h"
#include "selection_list.h"
#include "stats/datapath_stats.h"

namespace sockmesh::ctl {

// What `monitor` tells of: counted events, then single selections and what became of others.
inline const std::vector<std::string> kMonitorEvents = {"selected", "established", "failed",
                                                        "ejected",  "returned",    "selection",
                                                        "refused",  "left_alone"};

struct ChangeFilter {
  std::string cluster;                   // empty: all
  std::optional<SocketAddress> service;  // endpoints that connections to this VIP may reach
  std::vector<std::string> events{};     // of kMonitorEvents; empty: all
  // Of single selections. The counters do not know who asked: nothing of them passes a filter of
  // these two.
  std::string client{};  // as `ejection list` names it; empty: all
  std::string pod{};     // in the path of the pod's cgroup; '-' is the same as '_'; empty: all
};

// What one endpoint counted in between.
struct EndpointChange {
  std::string cluster;
  SocketAddress address;
  std::uint64_t selected = 0;
  std::uint64_t established = 0;
  NamedCounts failed;  // by reason, those above 0
  std::uint64_t sentBytes = 0;
  std::uint64_t receivedBytes = 0;
  std::uint32_t active = 0;  // now
  bool ejected = false;      // since the first reading
  bool returned = false;     // to rotation, since the first reading
  std::uint64_t failures() const;
};

// Endpoints of which anything changed, by cluster and address. An endpoint that was not there at
// the first reading counts from 0.
std::vector<EndpointChange> changesBetween(const NodeView& before, const NodeView& after,
                                           const ChangeFilter& filter);

// A row for each thing that happened: selections, connections, failures by reason, ejections.
// `time` is that of the second reading, as text. With `watched` also a row for each selection.
Outcome monitor(const NodeView& before, const NodeView& after, const ChangeFilter& filter,
                const std::string& time, const WatchedSelections* watched = nullptr);

// The endpoints with the most selections a second.
Outcome top(const NodeView& before, const NodeView& after, const ChangeFilter& filter);

}  // namespace sockmesh::ctl
