// SPDX-License-Identifier: Apache-2.0
// What a Listener means to a socket: addresses (VIPs) and the clusters behind them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/address.h"
#include "model/cluster.h"

namespace sockmesh {

// One leg of a traffic split; a plain `cluster` is a split of one.
struct WeightedCluster {
  std::string name;
  std::uint32_t weight = 1;      // >= 1
  MetadataStruct metadataMatch;  // merged: the leg's own keys win over tcp_proxy's
};

// The tcp_proxy or udp_proxy that a VIP's connections or datagrams meet.
struct TcpRoute {
  std::vector<WeightedCluster> clusters;  // at least one
  bool hashSourceIp = false;              // hash_policy source_ip
};

// A listener that makes VIPs.
struct Listener {
  std::string name;
  std::vector<SocketAddress> addresses;  // its address and additional_addresses, no wildcard
  Protocol protocol = Protocol::kTcp;
  TcpRoute route;
  // Valid fields that have no effect at connect() time, each "field: why"; listed for people.
  std::vector<std::string> notHonoured;
  std::uint64_t contentHash = 0;
};

// A resource that is valid and has no effect on connect(), with the reason. It is listed and never
// silently dropped.
struct LeftAlone {
  std::string name;
  std::string reason;  // "wildcard address 0.0.0.0:80", "no tcp_proxy: needs layer 7 (HTTP)"
};

}  // namespace sockmesh
