// SPDX-License-Identifier: Apache-2.0
#include "lb/reach.h"

#include <algorithm>
#include <iterator>

namespace sockmesh {

bool reaches(Reach reach, const Endpoint& endpoint) {
  if (reach == Reach::kBoth) return true;
  const bool v4 = reach == Reach::kIpv4;
  return endpoint.address.ip.isV4() == v4 ||
         (endpoint.otherAddress && endpoint.otherAddress->ip.isV4() == v4);
}

bool Families::all(Reach reach) const {
  return reach == Reach::kBoth || (reach == Reach::kIpv4 ? everyIpv4 : everyIpv6);
}

Families familiesOf(const LoadAssignment& assignment) {
  Families families;
  for (const LocalityEndpoints& group : assignment.localities) {
    for (const Endpoint& endpoint : group.endpoints) {
      families.everyIpv4 = families.everyIpv4 && reaches(Reach::kIpv4, endpoint);
      families.everyIpv6 = families.everyIpv6 && reaches(Reach::kIpv6, endpoint);
    }
  }
  return families;
}

LoadAssignment reachable(const LoadAssignment& assignment, Reach reach) {
  LoadAssignment kept = assignment;
  for (LocalityEndpoints& group : kept.localities) {
    std::erase_if(group.endpoints,
                  [reach](const Endpoint& endpoint) { return !reaches(reach, endpoint); });
  }
  return kept;
}

}  // namespace sockmesh
