// SPDX-License-Identifier: Apache-2.0
// What runs at an address, as istiod's workload API says it. For people: nothing is balanced by it.
#pragma once

#include <string>
#include <vector>

#include "model/address.h"

namespace sockmesh {

// Of several workloads with one address, what they agree on; "" where they do not.
struct Workload {
  std::string name;   // of the pod
  std::string space;  // its namespace
  std::string node;
  std::vector<IpAddress> addresses;
  bool operator==(const Workload&) const = default;
};

}  // namespace sockmesh
