// SPDX-License-Identifier: Apache-2.0
#include "lb/lb_endpoints.h"

namespace sockmesh {

LbEndpoints::LbEndpoints(const std::vector<LbEndpoint>& endpoints) {
  auto made = std::make_shared<LoadAssignment>();
  for (const LbEndpoint& from : endpoints) {
    if (made->localities.empty() || made->localities.back().locality != from.locality ||
        made->localities.back().priority != from.priority) {
      LocalityEndpoints& group = made->localities.emplace_back();
      group.locality = from.locality;
      group.priority = from.priority;
    }
    Endpoint& one = made->localities.back().endpoints.emplace_back();
    one.address = from.address;
    one.otherAddress = from.otherAddress;
    one.weight = from.weight;
    one.health = from.health;
  }
  if (!endpoints.empty()) assignment_ = std::move(made);
}

bool LbEndpoints::operator==(const LbEndpoints& other) const {
  Breather never;
  return sameAs(other, never);
}

bool LbEndpoints::sameAs(const LbEndpoints& other, Breather& breathe) const {
  if (assignment_ == other.assignment_) return true;
  if (size() != other.size()) return false;
  for (auto a = begin(), b = other.begin(); a != end(); ++a, ++b) {
    if (*a != *b) return false;
    breathe();
  }
  return true;
}

}  // namespace sockmesh
