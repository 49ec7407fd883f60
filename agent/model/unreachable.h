// Endpoints that no connection can reach, whatever the network is: Envoy takes them, uses them and
// fails; so does a connect(). They are used here, too, and listed by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/assignment.h"
#include "model/snapshot.h"

namespace sockmesh {

// Why a TCP connection to this address reaches no other host; empty: it may.
std::string whyUnreachable(const SocketAddress& address);

struct UnreachableEndpoint {
  std::string cluster;
  SocketAddress address;
  std::string why;  // "a multicast address"
  // "endpoint 224.0.0.1:80 of cluster c cannot be reached: a multicast address"
  std::string text() const;
};

// What services' addresses lead to, by VIP: the service's name.
using VipNames = std::map<SocketAddress, std::string>;

// The first of an endpoint's addresses that cannot be reached. A VIP is no host: what is sent there
// is not balanced again, and leaves the node as it is.
std::optional<UnreachableEndpoint> unreachable(const std::string& cluster,
                                               const SocketAddress& address,
                                               const std::optional<SocketAddress>& otherAddress,
                                               const VipNames& vips);

// All of a snapshot, by cluster. Looks at every endpoint: for people, on demand.
std::vector<UnreachableEndpoint> unreachableEndpoints(const Snapshot& snapshot);

}  // namespace sockmesh
