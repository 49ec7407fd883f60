// SPDX-License-Identifier: Apache-2.0
// Resources and responses as a control plane sends them, for tests, in few words.
#pragma once

#include <string>
#include <vector>

#include "decode/type_urls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh::xds_test {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using AssignmentProto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using ListenerProto = envoy::config::listener::v3::Listener;
using envoy::service::discovery::v3::DiscoveryResponse;
using envoy::service::discovery::v3::Resource;

inline ClusterProto edsCluster(const std::string& name, int connectTimeoutSeconds = 5,
                               const std::string& edsName = "") {
  ClusterProto cluster;
  cluster.set_name(name);
  cluster.set_type(ClusterProto::EDS);
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  cluster.mutable_eds_cluster_config()->set_service_name(edsName);
  cluster.mutable_connect_timeout()->set_seconds(connectTimeoutSeconds);
  return cluster;
}

inline ClusterProto badCluster(const std::string& name) {
  return edsCluster(name, -1);
}

inline ClusterProto withFetchTimeout(ClusterProto cluster, int seconds) {
  cluster.mutable_eds_cluster_config()
      ->mutable_eds_config()
      ->mutable_initial_fetch_timeout()
      ->set_seconds(seconds);
  return cluster;
}

inline AssignmentProto assignment(const std::string& name, std::uint32_t port = 8080) {
  AssignmentProto proto;
  proto.set_cluster_name(name);
  auto* address = proto.add_endpoints()
                      ->add_lb_endpoints()
                      ->mutable_endpoint()
                      ->mutable_address()
                      ->mutable_socket_address();
  address->set_address("10.1.0.1");
  address->set_port_value(port);
  return proto;
}

// A TCP listener at `address` that leads to `clusters`, all of one weight.
inline ListenerProto listenerTo(const std::vector<std::string>& clusters, const std::string& name,
                                const std::string& address, std::uint32_t port = 80) {
  ListenerProto proto;
  proto.set_name(name);
  proto.mutable_address()->mutable_socket_address()->set_address(address);
  proto.mutable_address()->mutable_socket_address()->set_port_value(port);
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
  proxy.set_stat_prefix(name);
  if (clusters.size() == 1) proxy.set_cluster(clusters.front());
  for (std::size_t i = 0; clusters.size() > 1 && i < clusters.size(); ++i) {
    auto* leg = proxy.mutable_weighted_clusters()->add_clusters();
    leg->set_name(clusters[i]);
    leg->set_weight(1);
  }
  auto* filter = proto.add_filter_chains()->add_filters();
  filter->set_name("envoy.filters.network.tcp_proxy");
  filter->mutable_typed_config()->PackFrom(proxy);
  return proto;
}

inline ListenerProto listener(const std::string& name, const std::string& address = "10.0.0.1",
                              std::uint32_t port = 80) {
  return listenerTo({"c"}, name, address, port);
}

template <typename Proto>
Resource wrap(const std::string& name, const Proto& proto) {
  Resource resource;
  resource.set_name(name);
  resource.mutable_resource()->PackFrom(proto);
  return resource;
}

template <typename... Protos>
DiscoveryResponse response(std::string_view type, const std::string& version,
                           const Protos&... protos) {
  DiscoveryResponse made;
  made.set_type_url(std::string(type));
  made.set_version_info(version);
  (made.add_resources()->PackFrom(protos), ...);
  return made;
}

template <typename... Protos>
DiscoveryResponse cds(const Protos&... protos) {
  return response(kClusterType, "1", protos...);
}
template <typename... Protos>
DiscoveryResponse eds(const Protos&... protos) {
  return response(kAssignmentType, "1", protos...);
}
template <typename... Protos>
DiscoveryResponse lds(const Protos&... protos) {
  return response(kListenerType, "1", protos...);
}

template <typename Map>
std::vector<std::string> namesOf(const Map& byName) {
  std::vector<std::string> names;
  for (const auto& [name, value] : byName) names.push_back(name);
  return names;
}

}  // namespace sockmesh::xds_test
