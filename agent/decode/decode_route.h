// SPDX-License-Identifier: Apache-2.0
// The parts of decodeRouteConfig(): routes, their actions, and what of them needs a request.
#pragma once

#include <string>
#include <vector>

#include "decode/field_errors.h"
#include "envoy/config/route/v3/route.pb.h"
#include "model/route.h"

namespace sockmesh {

// Where a route sends requests.
struct RouteTarget {
  TcpRoute clusters;      // meaningful where `leftAlone` is empty
  std::string leftAlone;  // why no cluster is known before the request: "redirects requests"
  // Hash policies that need a request: "header x-user".
  std::vector<std::string> requestHashes;
};

// Reads and checks the action of `route`, which is at the errors' present path.
RouteTarget decodeRouteTarget(const envoy::config::route::v3::Route& route, FieldErrors& errors);

// Checks that a match names a path.
void checkRouteMatch(const envoy::config::route::v3::RouteMatch& match, FieldErrors& errors);

// Whether every request matches.
bool takesEveryRequest(const envoy::config::route::v3::RouteMatch& match);

// What requests must have to match, for people: "prefix /v2, header x-user".
std::string conditionsOf(const envoy::config::route::v3::RouteMatch& match);

// What the route asks of a proxy beside its clusters, each "field: why".
std::vector<std::string> requestFeatures(const envoy::config::route::v3::Route& route);
// The same of what holds for all routes of a virtual host. A retry policy does not count where the
// route has its own.
std::vector<std::string> requestFeatures(const envoy::config::route::v3::VirtualHost& host,
                                         bool routeRetries);
std::vector<std::string> requestFeatures(const envoy::config::route::v3::RouteConfiguration& proto);

// "v1 90, v2 10", or the one name.
std::string clustersText(const TcpRoute& target);

}  // namespace sockmesh
