// SPDX-License-Identifier: Apache-2.0
// Listeners with HTTP chains, and route configurations, in few words.
#pragma once

#include <string>

#include "envoy/config/route/v3/route.pb.h"
#include "unit/decode/resources.h"
#include "unit/decode/text_proto.h"

namespace sockmesh::xds_test {

using RouteProto = envoy::config::route::v3::RouteConfiguration;

inline DiscoveryResponse rds(const RouteProto& first) {
  return response(kRouteType, "1", first);
}

// A virtual host with these domains, each in quotes, and these routes.
inline std::string host(const std::string& name, const std::string& domains,
                        const std::string& routes) {
  return "virtual_hosts { name: '" + name + "' domains: [" + domains + "] " + routes + " } ";
}

inline std::string routeTo(const std::string& cluster, const std::string& more = "") {
  return "routes { match { prefix: '/' } route { cluster: '" + cluster + "' " + more + " } } ";
}

inline RouteProto routes(const std::string& name, const std::string& hosts) {
  return parseText<RouteProto>("name: '" + name + "' " + hosts);
}

// A filter chain's filters: an HTTP connection manager with the routes of this name.
inline std::string managerOf(const std::string& specifier) {
  return "filters { name: 'http' typed_config { "
         "[type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
         "HttpConnectionManager] { stat_prefix: 's' " +
         specifier + " } } } ";
}
inline std::string rdsSpecifier(const std::string& name, int seconds = 0) {
  return "rds { route_config_name: '" + name +
         "' config_source { ads {} initial_fetch_timeout { seconds: " + std::to_string(seconds) +
         " } } } ";
}
inline std::string proxyTo(const std::string& cluster) {
  return "filters { name: 'tcp' typed_config { "
         "[type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy] { "
         "stat_prefix: 's' cluster: '" +
         cluster + "' } } } ";
}
inline std::string chainOf(const std::string& match, const std::string& filters) {
  return "filter_chains { filter_chain_match { " + match + " } " + filters + "} ";
}
inline const std::string kHttpMatch =
    "transport_protocol: 'raw_buffer' application_protocols: ['http/1.1', 'h2c']";

inline ListenerProto listenerOf(const std::string& name, const std::string& ip, int port,
                                const std::string& rest) {
  return parseText<ListenerProto>("name: '" + name + "' address { socket_address { address: '" +
                                  ip + "' port_value: " + std::to_string(port) +
                                  " } } traffic_direction: OUTBOUND " + rest);
}

// As istiod shares one for all HTTP services of a port.
inline ListenerProto httpListener(const std::string& name, int port, const std::string& routes,
                                  int fetchSeconds = 0) {
  return listenerOf(name, "0.0.0.0", port,
                    chainOf(kHttpMatch, managerOf(rdsSpecifier(routes, fetchSeconds))) +
                        "default_filter_chain { " + proxyTo("PassthroughCluster") + "}");
}

}  // namespace sockmesh::xds_test
