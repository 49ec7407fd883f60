// SPDX-License-Identifier: Apache-2.0
// The hosts of a cluster as Envoy's load balancers see them: by priority and locality, with the
// health that follows from EDS and from ejections on this node.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "model/assignment.h"

namespace sockmesh {

// Envoy's coarse health.
enum class HostHealth : std::uint8_t { kHealthy, kDegraded, kUnhealthy };

struct Host {
  const Endpoint* endpoint = nullptr;  // of the assignment, which outlives the Host
  const SharedLocality* locality = nullptr;
  HostHealth health = HostHealth::kHealthy;
  bool excluded = false;  // left out of denominators: draining
  double weight = 1;      // load_balancing_weight, in slow start times its factor; > 0
};

using HostList = std::vector<const Host*>;

// The hosts of one locality at one priority, at least one.
struct LocalityHosts {
  const SharedLocality* locality = nullptr;
  std::uint32_t weight = 0;  // 0: not given
  // The number of hosts of this locality in the whole cluster, before a subset filtered them.
  std::size_t unfiltered = 0;
  HostList hosts;
};

// One priority. Move-only: the lists point into `hosts`.
struct HostSet {
  HostSet() = default;
  HostSet(HostSet&&) = default;
  HostSet& operator=(HostSet&&) = default;

  std::vector<Host> hosts;  // in the order of the assignment
  // The node's own locality first (if it has hosts), then by region, zone and sub-zone. Envoy
  // enters localities into its scheduler in this order.
  std::vector<LocalityHosts> localities;
  bool hasLocalLocality = false;  // localities[0] is the node's own
};

// By priority. A level without hosts is empty. At least one level.
using PrioritySet = std::vector<HostSet>;

struct HostFacts {
  std::set<SocketAddress> ejected;  // FAILED_OUTLIER_CHECK
  Locality nodeLocality;
  // Which endpoints take part; null: all.
  std::function<bool(const Endpoint&)> filter;
  // The factor of an endpoint's weight (slow start), asked for healthy hosts. Null: 1.
  std::function<double(const Endpoint&)> weightFactor;
};

// Coarse health from an endpoint's EDS status and its ejection.
HostHealth coarseHealth(EdsHealth health, bool ejected);

// A locality given twice at one priority is merged, and the last given weight counts.
PrioritySet prioritySet(const LoadAssignment& assignment, const HostFacts& facts);

// The hosts with this health, in order.
HostList withHealth(const HostList& hosts, HostHealth health);
HostList allHosts(const HostSet& set);
std::size_t countExcluded(const HostList& hosts);

}  // namespace sockmesh
