// SPDX-License-Identifier: Apache-2.0
// A RouteConfiguration as far as a connect() can follow it: of each virtual host the route that
// takes every request, and what a request would decide beside it. Immutable once it is in force.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/address.h"
#include "model/tcp_route.h"

namespace sockmesh {

struct VirtualHost {
  std::string name;
  // Domains that are addresses, "10.0.0.1", "[fd00::1]" or either with a port. Port 0: any port.
  std::vector<SocketAddress> addresses;
  bool anyDomain = false;  // "*"
  std::string hostName;    // the first domain that is a name; istiod has the service's there
  TcpRoute target;         // of the catch-all route; meaningful where `leftAlone` is empty
  std::string route;       // the catch-all's place, and its name if it has one: "routes[1] default"
  std::string leftAlone;   // why a connect() cannot follow the virtual host
  // What is right only for a proxy that sees requests, each "field: why".
  std::vector<std::string> needsLayer7;

  bool operator==(const VirtualHost&) const = default;
};

struct RouteConfig {
  std::string name;
  bool absent = false;  // no version has come in time: it stands for none
  std::vector<VirtualHost> virtualHosts;
};

}  // namespace sockmesh
