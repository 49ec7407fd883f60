// SPDX-License-Identifier: Apache-2.0
// What a Listener means to a socket: addresses (VIPs) and the clusters behind them. A listener
// has a part for each route that its addresses lead to, and each part is a service of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/name.h"
#include "model/address.h"
#include "model/cluster.h"
#include "model/tcp_route.h"
#include "model/vip.h"

namespace sockmesh {

// How a VIP is named. Where two parts name one VIP, the one that comes first here owns it.
enum class VipSource : std::uint8_t {
  kAddress,    // the listener's address or an additional one
  kPrefix,     // a prefix range, in a filter chain of a wildcard listener
  kDomain,     // a domain of a virtual host, behind a wildcard listener
  kNameTable,  // another address of that virtual host's name, in istiod's name table
  kResolved,   // an address that the name of a service without a VIP resolves to
};

// Where a part comes from, for people. A field that does not apply is empty.
struct Origin {
  Name listener;     // the resource
  Name filterChain;  // "filter_chains[1]", "default_filter_chain"
  Name routeConfig;
  Name virtualHost;
  Name route;  // "routes[1] default"

  bool operator==(const Origin&) const = default;
};

// A part of a listener that makes VIPs.
struct Listener {
  // The resource's name for the part of its own addresses. Other parts: "LISTENER/VIRTUAL-HOST" or
  // "LISTENER/FILTER-CHAIN".
  std::string name;
  std::vector<Vip> addresses;  // no wildcard
  Protocol protocol = Protocol::kTcp;
  TcpRoute route;
  // Valid fields that have no effect at connect() time, each "field: why"; listed for people.
  std::vector<std::string> notHonoured;
  // What is right only for a proxy that sees requests, each "field: why". The connections go where
  // the catch-all route says.
  std::vector<std::string> needsLayer7;
  VipSource source = VipSource::kAddress;
  Origin origin;
  // See LeftAlone. Of the first part of a resource, for all of the resource.
  std::vector<Vip> holes{};

  bool operator==(const Listener&) const = default;
};

// A resource, or a part of one, that is valid and has no effect on connect(), with the reason. It
// is listed and never silently dropped.
struct LeftAlone {
  std::string name;
  std::string reason;  // "wildcard address 0.0.0.0:80", "no tcp_proxy: ends with filter x"
  Origin origin{};
  std::vector<Vip> vips{};  // that it would have made, as far as they are known
  // TCP addresses and ranges that Envoy leads here. The range of a service that holds one does not
  // get its connections.
  std::vector<Vip> holes{};

  bool operator==(const LeftAlone&) const = default;
};

}  // namespace sockmesh
