// SPDX-License-Identifier: Apache-2.0
// What this node itself knows about endpoints, apart from the Snapshot: ejections by the outlier
// detector. Ejection never changes the Snapshot; EDS health, active health and ejection stay three
// separate facts.
#pragma once

#include <map>
#include <string>

#include "base/shared_map.h"
#include "model/address.h"

namespace sockmesh {

struct EndpointHealth {
  bool ejected = false;  // Envoy's FAILED_OUTLIER_CHECK
  bool operator==(const EndpointHealth&) const = default;
};

struct HealthOverlay {
  // By cluster name, then by endpoint address. Absent: nothing is known against the endpoint.
  SharedMap<std::map<SocketAddress, EndpointHealth>> byCluster;

  bool operator==(const HealthOverlay&) const = default;
  const EndpointHealth* find(const std::string& cluster, const SocketAddress& address) const;
};

}  // namespace sockmesh
