// SPDX-License-Identifier: Apache-2.0
// Endpoints that no connection can reach in any network. Envoy takes and uses them, and connections
// fail. They are also used here, and listed by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/assignment.h"
#include "model/snapshot.h"

namespace sockmesh {

// Why a TCP connection to this address reaches no other host. Empty: it may reach one.
std::string whyUnreachable(const SocketAddress& address);

struct UnreachableEndpoint {
  std::string cluster;
  SocketAddress address;
  std::string why;  // "a multicast address"
  // "endpoint 224.0.0.1:80 of cluster c cannot be reached: a multicast address"
  std::string text() const;
};

// The names of services, by VIP. A range may hold the addresses of its own endpoints, and is not in
// here.
using VipNames = std::map<SocketAddress, std::string>;

// The first address of an endpoint that cannot be reached. A VIP is not a host: a connection to it
// is not balanced again, and leaves the node unchanged.
std::optional<UnreachableEndpoint> unreachable(const std::string& cluster,
                                               const SocketAddress& address,
                                               const std::optional<SocketAddress>& otherAddress,
                                               const VipNames& vips);

// All of a snapshot, by cluster. Looks at every endpoint: for people, on demand.
std::vector<UnreachableEndpoint> unreachableEndpoints(const Snapshot& snapshot);

}  // namespace sockmesh
