// SPDX-License-Identifier: Apache-2.0
// A Listener as it was decoded: its addresses, its filter chains and what each chain does. The
// routes of an HTTP chain may be another resource, so it takes both to know the listener's VIPs
// (decode/listener_parts.h).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rare.h"
#include "decode/filter_chains.h"
#include "model/listener.h"
#include "model/route.h"

namespace sockmesh {

// A chain with an HTTP connection manager.
struct HttpChain {
  std::string routeConfig;                     // the name; may be empty where it is inline
  std::shared_ptr<const RouteConfig> inlined;  // null: by RDS
  Nanos initialFetchTimeout{0};                // RDS; 0: wait for ever
  // What the manager does to requests beside routing them, each "field: why".
  std::vector<std::string> needsLayer7;
};

// What a chain does to a connection.
struct ChainRoute {
  TcpRoute route;                        // of the tcp_proxy; meaningful where both others are empty
  RareOptional<HttpChain> http;          // instead of the tcp_proxy
  std::vector<std::string> notHonoured;  // like Listener::notHonoured
  std::string leftAlone;                 // why a connect() cannot follow the chain
};

struct DecodedListener {
  std::string name;
  std::vector<SocketAddress> addresses;  // all, also those that make no VIP
  // Where connections come from elsewhere: the port of a VIP is then the one that a chain names.
  bool originalDestination = false;
  FilterChains chains;
  std::map<std::string, ChainRoute> routes;  // by the chain's path
  RareOptional<ChainRoute> udp;              // of a UDP listener, for all of its addresses
  std::string leftAlone;                     // why no socket meets the listener at all

  // The route configurations that its chains want by RDS, with the time that each may take.
  std::map<std::string, Nanos> wantedRoutes() const;
};

}  // namespace sockmesh
