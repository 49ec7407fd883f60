// SPDX-License-Identifier: Apache-2.0
// The clusters that a VIP's traffic goes to: those of a tcp_proxy, a udp_proxy or an HTTP route.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/name.h"
#include "base/rare.h"
#include "model/metadata.h"

namespace sockmesh {

// One leg of a traffic split; a plain `cluster` is a split of one.
struct WeightedCluster {
  Name name;
  std::uint32_t weight = 1;  // >= 1
  // Merged: the leg's own keys win over the proxy's or the route's.
  Rare<MetadataStruct> metadataMatch;

  bool operator==(const WeightedCluster&) const = default;
};

struct TcpRoute {
  std::vector<WeightedCluster> clusters;  // at least one
  bool hashSourceIp = false;              // a hash policy names the source address

  bool operator==(const TcpRoute&) const = default;
};

}  // namespace sockmesh
