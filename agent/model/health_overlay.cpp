// SPDX-License-Identifier: Apache-2.0
#include "model/health_overlay.h"

namespace sockmesh {

const EndpointHealth* HealthOverlay::find(const std::string& cluster,
                                          const SocketAddress& address) const {
  const auto endpoints = byCluster.find(cluster);
  if (endpoints == byCluster.end()) return nullptr;
  const auto found = endpoints->second.find(address);
  return found == endpoints->second.end() ? nullptr : &found->second;
}

}  // namespace sockmesh
