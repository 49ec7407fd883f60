// SPDX-License-Identifier: Apache-2.0
#include "control_plane.h"

#include <functional>
#include <utility>

#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace sockmesh::fuzz {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using AssignmentProto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using ListenerProto = envoy::config::listener::v3::Listener;
using RouteProto = envoy::config::route::v3::RouteConfiguration;
using HttpManager =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using TcpProxy = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

constexpr std::uint32_t kNoPort = 70000;

std::string named(char kind, std::size_t number) {
  return kind + std::to_string(number);
}

template <typename Proto>
Sent sent(std::string name, const Proto& proto) {
  Sent made;
  made.name = std::move(name);
  made.any.PackFrom(proto);
  made.version = "v" + std::to_string(std::hash<std::string>{}(made.any.value()));
  return made;
}

ListenerProto listenerAt(std::size_t number, const std::string& ip, std::uint32_t port) {
  ListenerProto proto;
  proto.set_name(named('l', number));
  proto.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  proto.mutable_address()->mutable_socket_address()->set_address(ip);
  proto.mutable_address()->mutable_socket_address()->set_port_value(port);
  return proto;
}

template <typename Config>
void addFilter(ListenerProto& listener, const Config& config) {
  auto* filter = listener.add_filter_chains()->add_filters();
  filter->set_name("filter");
  filter->mutable_typed_config()->PackFrom(config);
}

std::uint32_t httpPort(std::size_t listener) {
  return static_cast<std::uint32_t>(8000 + listener);
}

}  // namespace

Sent cluster(std::size_t number, std::size_t assignment, int timeoutSeconds) {
  ClusterProto proto;
  proto.set_name(named('c', number));
  proto.set_type(ClusterProto::EDS);
  proto.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  proto.mutable_eds_cluster_config()->set_service_name(named('e', assignment));
  proto.mutable_connect_timeout()->set_seconds(timeoutSeconds);
  return sent(proto.name(), proto);
}

Sent badCluster(std::size_t number) {
  return cluster(number, 0, -1);
}

Sent assignment(std::size_t number, std::uint32_t port) {
  AssignmentProto proto;
  proto.set_cluster_name(named('e', number));
  auto* endpoint = proto.add_endpoints()->add_lb_endpoints()->mutable_endpoint();
  endpoint->mutable_address()->mutable_socket_address()->set_address("10.1.0.1");
  endpoint->mutable_address()->mutable_socket_address()->set_port_value(port);
  return sent(proto.cluster_name(), proto);
}

Sent badAssignment(std::size_t number) {
  return assignment(number, kNoPort);
}

Sent tcpListener(std::size_t number, std::size_t cluster) {
  ListenerProto proto = listenerAt(number, "10.0.0.1" + std::to_string(number), 80);
  TcpProxy proxy;
  proxy.set_stat_prefix("a");
  proxy.set_cluster(named('c', cluster));
  addFilter(proto, proxy);
  return sent(proto.name(), proto);
}

Sent httpListener(std::size_t number, std::size_t routes) {
  ListenerProto proto = listenerAt(number, "0.0.0.0", httpPort(number));
  HttpManager manager;
  manager.set_stat_prefix("a");
  manager.mutable_rds()->set_route_config_name(named('r', routes));
  manager.mutable_rds()->mutable_config_source()->mutable_ads();
  addFilter(proto, manager);
  return sent(proto.name(), proto);
}

Sent badListener(std::size_t number) {
  ListenerProto proto = listenerAt(number, "10.0.0.1", kNoPort);
  addFilter(proto, TcpProxy());
  return sent(proto.name(), proto);
}

Sent routes(std::size_t number, std::size_t cluster) {
  RouteProto proto;
  proto.set_name(named('r', number));
  auto* host = proto.add_virtual_hosts();
  host->set_name("host");
  host->add_domains("10.0.1.1" + std::to_string(number));
  auto* route = host->add_routes();
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster(named('c', cluster));
  return sent(proto.name(), proto);
}

Sent badRoutes(std::size_t number) {
  RouteProto proto;
  proto.set_name(named('r', number));
  proto.add_virtual_hosts();
  return sent(proto.name(), proto);
}

World makeWorld(Script& script) {
  World world;
  const auto add = [&world](std::string_view type, Sent one) {
    world.byType[std::string(type)].emplace(one.name, std::move(one));
  };
  std::vector<std::uint32_t> ports;
  for (std::size_t i = 0; i < kNames; ++i) {
    ports.push_back(static_cast<std::uint32_t>(1 + script.byte()));
    add(kAssignmentType, assignment(i, ports.back()));
  }
  std::vector<std::size_t> clusters;
  for (std::size_t i = 0; i < kNames; ++i) {
    if (script.coin()) continue;
    const std::size_t eds = script.below(kNames);
    add(kClusterType, cluster(i, eds, 1 + static_cast<int>(script.below(3))));
    clusters.push_back(i);
    world.edsNames[named('c', i)] = named('e', eds);
    world.ports[named('e', eds)] = ports[eds];
  }
  if (clusters.empty()) return world;
  const auto someCluster = [&] { return clusters[script.below(clusters.size())]; };
  std::vector<std::size_t> routed;
  for (std::size_t i = 0; i < kNames; ++i) {
    routed.push_back(someCluster());
    add(kRouteType, routes(i, routed.back()));
  }
  for (std::size_t i = 0; i < kNames; ++i) {
    const std::size_t kind = script.below(3);
    if (kind == 0) continue;
    if (kind == 1) {
      const std::size_t to = someCluster();
      add(kListenerType, tcpListener(i, to));
      world.vips["10.0.0.1" + std::to_string(i) + ":80"] = named('c', to);
    } else {
      const std::size_t by = script.below(kNames);
      add(kListenerType, httpListener(i, by));
      world.routes.insert(named('r', by));
      world.vips["10.0.1.1" + std::to_string(by) + ":" + std::to_string(httpPort(i))] =
          named('c', routed[by]);
    }
  }
  return world;
}

}  // namespace sockmesh::fuzz
