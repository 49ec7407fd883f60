// SPDX-License-Identifier: Apache-2.0
// What the node's configuration says about compiling. Nothing of it comes from the control plane.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/address.h"
#include "model/assignment.h"
#include "model/vip.h"

namespace sockmesh {

// Client-IP session affinity, which no xDS message carries. Seconds by VIP (one
// address), or else by the listener's name.
struct AffinityOptions {
  std::map<SocketAddress, std::uint32_t> byVip;
  std::map<std::string, std::uint32_t> byService;
  // 0: none.
  std::uint32_t secondsOf(const std::string& service, const Vip& vip) const;
};

struct CompilerOptions {
  // Orders localities; zone-aware routing's own zone.
  Locality nodeLocality{};
  // The EDS/cluster name whose membership is the callers' own cluster (Envoy's
  // cluster_manager.local_cluster_name); empty: zone-aware routing is off.
  std::string localCluster{};
  AffinityOptions affinity{};
  bool weightedRandom = false;  // RANDOM goes by endpoint weights, which Envoy's ignores
};

}  // namespace sockmesh
