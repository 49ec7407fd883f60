// SPDX-License-Identifier: Apache-2.0
// What a fuzzed control plane has to say: a small mesh, and what an agent must make of it.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "script.h"

namespace sockmesh::fuzz {

// A resource as it is sent.
struct Sent {
  std::string name;
  std::string version;  // equal content has an equal version
  google::protobuf::Any any;
};

// Of one type, by name.
using Resources = std::map<std::string, Sent>;

// A resource that a decoder must take, of one of the few names of its type; or one that it must
// refuse.
Sent cluster(std::size_t number, std::size_t assignment, int timeoutSeconds);
Sent badCluster(std::size_t number);
Sent assignment(std::size_t number, std::uint32_t port);
Sent badAssignment(std::size_t number);
// A VIP of its own that leads to the cluster.
Sent tcpListener(std::size_t number, std::size_t cluster);
// Its VIPs are domains of the routes.
Sent httpListener(std::size_t number, std::size_t routes);
Sent badListener(std::size_t number);
Sent routes(std::size_t number, std::size_t cluster);
Sent badRoutes(std::size_t number);

// How many names there are of a type.
constexpr std::size_t kNames = 4;

// A whole mesh without a mistake: each name that a resource in it wants is there.
struct World {
  std::map<std::string, Resources> byType;  // by type URL

  // What an agent must have of it.
  std::map<std::string, std::string> edsNames;  // by cluster
  std::map<std::string, std::uint32_t> ports;   // of the one endpoint, by wanted assignment
  std::set<std::string> routes;                 // wanted
  std::map<std::string, std::string> vips;      // "IP:PORT" -> cluster
};
World makeWorld(Script& script);

}  // namespace sockmesh::fuzz
