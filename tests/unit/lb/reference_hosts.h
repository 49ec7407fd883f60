// SPDX-License-Identifier: Apache-2.0
// The hosts of the reference model, and picking some of them.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "model/assignment.h"
#include "model/cluster.h"
#include "unit/lb/reference_model.h"

namespace sockmesh::test {

struct ModelHost {
  SocketAddress address;
  Locality locality;
  std::uint32_t priority = 0;
  std::uint32_t weight = 1;
  bool healthy = false;
  bool degraded = false;
  bool draining = false;
};

using Hosts = std::vector<ModelHost>;

// The metadata that a host must have, or nothing at all when the connection fails. One selector.
struct Wanted {
  bool fails = false;
  MetadataStruct metadata;
};

Wanted wantedOf(const ModelLeg& leg);

Hosts hostsOf(const LoadAssignment& assignment, const std::set<SocketAddress>& ejected,
              const MetadataStruct& wanted);

Hosts atPriority(const Hosts& hosts, std::uint32_t priority);
Hosts healthyOf(const Hosts& hosts);
Hosts degradedOf(const Hosts& hosts);
Hosts inLocality(const Hosts& hosts, const Locality& locality);
Hosts notDraining(const Hosts& hosts);

// How many, or the sum of their weights.
std::uint64_t sum(const Hosts& hosts, bool weights);

}  // namespace sockmesh::test
