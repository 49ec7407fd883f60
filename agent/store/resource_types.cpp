// SPDX-License-Identifier: Apache-2.0
// The table of resource types.
#include <algorithm>

#include "decode/decode.h"
#include "decode/type_urls.h"
#include "store/resource_type.h"
#include "store/warming.h"

namespace sockmesh {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using AssignmentProto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using ListenerProto = envoy::config::listener::v3::Listener;
using RouteProto = envoy::config::route::v3::RouteConfiguration;
using NameTableProto = istio::networking::nds::v1::NameTable;
using AddressProto = istio::workload::Address;
using google::protobuf::Message;
using Scope = ResourceType::Scope;

template <typename T>
DecodedResource shared(std::shared_ptr<const T> decoded) {
  return decoded;
}

template <typename T>
std::shared_ptr<const T> as(const DecodedResource& resource) {
  return std::static_pointer_cast<const T>(resource);
}

template <typename Proto, const std::string& (Proto::*name)() const>
std::string nameOf(const Message& message) {
  return (static_cast<const Proto&>(message).*name)();
}

template <typename Proto, auto decodeProto>
Result<DecodedResource> decode(const Message& message) {
  auto decoded = decodeProto(static_cast<const Proto&>(message));
  if (!decoded) return decoded.error();
  return shared(*std::move(decoded));
}

// The same came again: no news, except for an assignment that grows stale with time. The time
// starts anew, as in Envoy, so the assignment is a new object.
DecodedResource renewAssignment(const DecodedResource& held) {
  const auto assignment = as<LoadAssignment>(held);
  if (!assignment->endpointStaleAfter) return nullptr;
  return std::make_shared<const LoadAssignment>(*assignment);
}

DecodedResource emptyAssignment(const std::string& name) {
  auto empty = std::make_shared<LoadAssignment>();
  empty->clusterName = name;
  return empty;
}

ResourceType clusters() {
  return {
      .url = kClusterType,
      .shortName = shortTypeName(kClusterType),
      .scope = Scope::kAll,
      .askedAfter = "",
      .expires = true,
      .prototype = &ClusterProto::default_instance(),
      .nameOf = nameOf<ClusterProto, &ClusterProto::name>,
      .nameField = "name",
      .decode = decode<ClusterProto, decodeCluster>,
      .endpoints =
          [](const DecodedResource& cluster) {
            const auto own = as<Cluster>(cluster)->inlineAssignment;
            return own ? own->endpointCount() : 0;
          },
      .set = [](Warming& warming, const std::string& name,
                const DecodedResource& newest) { warming.setCluster(name, as<Cluster>(newest)); },
      .remove = [](Warming& warming, const std::string& name) { warming.removeCluster(name); },
      .expire = [](Warming& warming, const std::string& name) { warming.expireCluster(name); },
      .listed = [](Warming& warming, bool complete) { return warming.setClustersListed(complete); },
      .count = [](const Snapshot& snapshot) { return snapshot.clusters.size(); }};
}

// Assignments do not expire, as in Envoy.
ResourceType assignments() {
  return {
      .url = kAssignmentType,
      .shortName = shortTypeName(kAssignmentType),
      .scope = Scope::kByName,
      .askedAfter = "",
      .expires = false,
      .prototype = &AssignmentProto::default_instance(),
      .nameOf = nameOf<AssignmentProto, &AssignmentProto::cluster_name>,
      .nameField = "cluster_name",
      .decode = decode<AssignmentProto, decodeAssignment>,
      .endpoints =
          [](const DecodedResource& assignment) {
            return as<LoadAssignment>(assignment)->endpointCount();
          },
      .renewed = renewAssignment,
      .set =
          [](Warming& warming, const std::string& name, const DecodedResource& newest) {
            warming.setEndpoints(name, as<LoadAssignment>(newest));
          },
      .remove = [](Warming& warming, const std::string& name) { warming.removeEndpoints(name); },
      .absent = emptyAssignment,
      .absentLine = "no endpoints for {} within initial_fetch_timeout: its cluster counts as empty",
      .replaces = [](const Warming& warming,
                     const std::string& name) { return warming.replacementWaitsFor(name); },
      .count = [](const Snapshot& snapshot) { return snapshot.assignments.size(); }};
}

// Asked for once the clusters came, so that VIPs arrive with their endpoints behind them.
ResourceType listeners() {
  return {.url = kListenerType,
          .shortName = shortTypeName(kListenerType),
          .scope = Scope::kAll,
          .askedAfter = kClusterType,
          .expires = true,
          .prototype = &ListenerProto::default_instance(),
          .nameOf = nameOf<ListenerProto, &ListenerProto::name>,
          .nameField = "name",
          .decode = decode<ListenerProto, decodeListener>,
          .set =
              [](Warming& warming, const std::string& name, const DecodedResource& newest) {
                warming.setListener(name, as<DecodedListener>(newest));
              },
          .remove = [](Warming& warming, const std::string& name) { warming.removeListener(name); },
          .expire = [](Warming& warming, const std::string& name) { warming.expireListener(name); },
          .count = [](const Snapshot& snapshot) { return snapshot.listenerResources; }};
}

DecodedResource emptyRoutes(const std::string& name) {
  auto empty = std::make_shared<RouteConfig>();
  empty->name = name;
  empty->absent = true;
  return empty;
}

// Route configurations do not expire, as in Envoy.
ResourceType routes() {
  return {.url = kRouteType,
          .shortName = shortTypeName(kRouteType),
          .scope = Scope::kByName,
          .askedAfter = "",
          .expires = false,
          .prototype = &RouteProto::default_instance(),
          .nameOf = nameOf<RouteProto, &RouteProto::name>,
          .nameField = "name",
          .decode = decode<RouteProto, decodeRouteConfig>,
          .set =
              [](Warming& warming, const std::string& name, const DecodedResource& newest) {
                warming.setRoutes(name, as<RouteConfig>(newest));
              },
          .remove = [](Warming& warming, const std::string& name) { warming.removeRoutes(name); },
          .absent = emptyRoutes,
          .absentLine = "no routes {} within initial_fetch_timeout: they count as empty",
          .replaces = [](const Warming& warming,
                         const std::string& name) { return warming.listenerWaitsFor(name); },
          .count = [](const Snapshot& snapshot) { return snapshot.routeResources; }};
}

// A name table has no name of its own. Other control planes than istiod need not know the type.
ResourceType names() {
  return {.url = kNameTableType,
          .shortName = shortTypeName(kNameTableType),
          .scope = Scope::kAll,
          .askedAfter = "",
          .expires = false,
          .needed = [](const Warming& warming) { return warming.usesIstiodNames(); },
          .prototype = &NameTableProto::default_instance(),
          .nameOf = [](const Message&) { return std::string("name table"); },
          .nameField = "name",
          .isNamed = false,
          .decode = decode<NameTableProto, decodeNameTable>,
          .set = [](Warming& warming, const std::string&,
                    const DecodedResource& newest) { warming.setNames(as<NameTable>(newest)); },
          .remove = [](Warming& warming, const std::string&) { warming.setNames(nullptr); },
          .count = [](const Snapshot& snapshot) { return snapshot.nameTables; }};
}

// Asked for after the listeners, so that services do not wait behind all pods of a mesh. In the
// state of the world each answer to istiod brings all of them again.
ResourceType workloads() {
  return {
      .url = kWorkloadType,
      .shortName = shortTypeName(kWorkloadType),
      .scope = Scope::kAll,
      .askedAfter = kListenerType,
      .expires = false,
      .needed = [](const Warming& warming) { return warming.workloads().used(); },
      .bySetting = true,
      .deltaOnly = true,
      .prototype = &AddressProto::default_instance(),
      .nameField = "name",
      .decode = decode<AddressProto, decodeWorkload>,
      .set =
          [](Warming& warming, const std::string& name, const DecodedResource& newest) {
            warming.workloads().set(name, as<Workload>(newest));
          },
      .remove = [](Warming& warming, const std::string& name) { warming.workloads().remove(name); },
      .count = [](const Snapshot& snapshot) { return snapshot.workloadResources; }};
}

}  // namespace

const std::vector<ResourceType>& resourceTypes() {
  static const std::vector<ResourceType> types = {clusters(), assignments(), listeners(),
                                                  routes(),   names(),       workloads()};
  return types;
}

const ResourceType* findResourceType(std::string_view url) {
  const auto found = std::ranges::find(resourceTypes(), url, &ResourceType::url);
  return found == resourceTypes().end() ? nullptr : &*found;
}

}  // namespace sockmesh
