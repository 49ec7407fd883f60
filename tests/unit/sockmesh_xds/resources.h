// SPDX-License-Identifier: Apache-2.0
// Small resources for the server's tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "resource_set.h"

namespace sockmesh::testing {

inline google::protobuf::Any packed(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any;
}

inline google::protobuf::Any cluster(const std::string& name, int connectTimeoutSeconds = 5) {
  envoy::config::cluster::v3::Cluster cluster;
  cluster.mutable_connect_timeout()->set_seconds(connectTimeoutSeconds);
  cluster.set_name(name);
  cluster.set_type(envoy::config::cluster::v3::Cluster::EDS);
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  return packed(cluster);
}

inline google::protobuf::Any assignment(const std::string& name, std::uint32_t port) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  assignment.add_endpoints()
      ->add_lb_endpoints()
      ->mutable_endpoint()
      ->mutable_address()
      ->mutable_socket_address()
      ->set_port_value(port);
  return packed(assignment);
}

inline google::protobuf::Any listener(const std::string& name) {
  envoy::config::listener::v3::Listener listener;
  listener.set_name(name);
  return packed(listener);
}

inline std::shared_ptr<const ResourceSet> resources(const std::vector<google::protobuf::Any>& all) {
  auto set = std::make_shared<ResourceSet>();
  for (const auto& any : all) {
    const Status added = set->add(any.type_url(), resourceName(any).value(), any, "test");
    if (!added) std::abort();
  }
  return set;
}

// The names of the resources of a response, in its order.
inline std::vector<std::string> namesOf(
    const envoy::service::discovery::v3::DiscoveryResponse& response) {
  std::vector<std::string> names;
  for (const auto& any : response.resources()) names.push_back(resourceName(any).value());
  return names;
}

}  // namespace sockmesh::testing
