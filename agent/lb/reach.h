// SPDX-License-Identifier: Apache-2.0
// Which of a cluster's hosts a socket can reach: an IPv4 socket reaches only IPv4; an IPv6 socket
// reaches both families, unless it is IPv6-only or bound to an address of one family.
#pragma once

#include <cstdint>

#include "model/assignment.h"

namespace sockmesh {

enum class Reach : std::uint8_t { kBoth, kIpv4, kIpv6 };

// Whether one of the endpoint's addresses is of a family that `reach` has.
bool reaches(Reach reach, const Endpoint& endpoint);

// The families of which every endpoint of an assignment has an address.
struct Families {
  bool everyIpv4 = true;
  bool everyIpv6 = true;
  // Whether sockets of this reach can be sent to every endpoint.
  bool all(Reach reach) const;
};
Families familiesOf(const LoadAssignment& assignment);

// The assignment without the endpoints out of reach. Localities stay, so that every priority keeps
// its number.
LoadAssignment reachable(const LoadAssignment& assignment, Reach reach);

}  // namespace sockmesh
