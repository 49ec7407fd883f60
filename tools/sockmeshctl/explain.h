// SPDX-License-Identifier: Apache-2.0
// The parts of `explain`.
#pragma once

#include <vector>

#include "commands.h"

namespace sockmesh::ctl {

// The service in question, and where to look further.
struct Explained {
  const NodeView& view;
  VipKey key;
  const ImageService& image;
  const LbService& service;
  std::vector<double> groupShares;  // parallel to the service's groups
  std::string client;               // of the query
};

// "groups": what connections are split over, each with its share.
void addGroups(const Explained& explained, Document& out);

// "endpoints": all endpoints of the service's clusters, also endpoints that no connection reaches,
// with the reason.
void addEndpoints(const Explained& explained, Document& out);

// "source": what a client of this address gets. A Failure if no client can have this address.
std::optional<Failure> addSource(const Explained& explained, const IpAddress& source,
                                 Document& out);

// "samples": where connects from here led to, beside the shares of the tables.
void addSamples(const Explained& explained, const Samples& samples, Document& out);

// "route" and "leftOut": what made the VIP, and what would have. Null without the agent.
void addRoute(const AgentRoutes& agent, Document& out);

// The explanation of an address that is no VIP: its other ports, and whose endpoint it is.
Document explainNoService(const NodeView& view, const SocketAddress& address);

// "80, 443": the ports of this address that are VIPs. "" if there are none.
std::string portsOf(const NodeView& view, const IpAddress& address);

// Seconds that an endpoint stays out of rotation. Nothing if it is in rotation or unknown.
std::optional<double> ejectedSeconds(const NodeView& view, std::uint32_t endpointId);

}  // namespace sockmesh::ctl
