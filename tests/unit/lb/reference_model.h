// SPDX-License-Identifier: Apache-2.0
// Each endpoint's exact share of a VIP's connections, computed slowly and plainly from Envoy's
// rules. It shares no code with the compiler: if the two agree, both are probably right.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/assignment.h"
#include "model/cluster.h"

namespace sockmesh::test {

struct ModelLeg {
  Cluster cluster;
  LoadAssignment assignment;
  std::uint32_t weight = 1;
  MetadataStruct criteria;
  std::set<SocketAddress> ejected;
};

struct ModelWorld {
  Locality nodeLocality;
  LoadAssignment callers;  // the callers' own cluster; no localities: unknown
};

struct ModelShares {
  std::map<std::pair<std::string, SocketAddress>, double> endpoints;
  double refused = 0;
};

ModelShares expectedShares(const std::vector<ModelLeg>& legs, const ModelWorld& world);

}  // namespace sockmesh::test
