// SPDX-License-Identifier: Apache-2.0
// What this node itself knows about endpoints, apart from the Snapshot: ejections by the outlier
// detector. Ejection never changes the Snapshot; EDS health, active health and ejection stay three
// separate facts.
#pragma once

#include <string>

#include "base/shared_map.h"
#include "model/address.h"

namespace sockmesh {

struct EndpointHealth {
  bool ejected = false;  // Envoy's FAILED_OUTLIER_CHECK
  bool operator==(const EndpointHealth&) const = default;
};

// By address of the endpoint. Absent: nothing is known against it.
using HealthByAddress = SharedMap<EndpointHealth, SocketAddress>;

struct HealthOverlay {
  SharedMap<HealthByAddress> byCluster;  // by cluster name

  bool operator==(const HealthOverlay&) const = default;
  const EndpointHealth* find(const std::string& cluster, const SocketAddress& address) const;
};

}  // namespace sockmesh
