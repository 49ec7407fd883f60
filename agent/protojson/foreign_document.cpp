// SPDX-License-Identifier: Apache-2.0
#include "protojson/foreign_document.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "base/suggestion.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace sockmesh {
namespace {

using google::protobuf::Descriptor;
using Kind = ForeignDocument::Kind;

struct Renamed {
  std::string_view where;  // a message or enum; "" for any
  std::string_view was;
  std::string_view is;
};

constexpr std::array kTypes = {
    Renamed{"", "envoy.api.v2.Cluster", "envoy.config.cluster.v3.Cluster"},
    Renamed{"", "envoy.api.v2.Listener", "envoy.config.listener.v3.Listener"},
    Renamed{"", "envoy.api.v2.ClusterLoadAssignment",
            "envoy.config.endpoint.v3.ClusterLoadAssignment"},
    Renamed{"", "envoy.api.v2.RouteConfiguration", "envoy.config.route.v3.RouteConfiguration"},
    Renamed{"", "envoy.api.v2.DiscoveryResponse", "envoy.service.discovery.v3.DiscoveryResponse"},
    Renamed{"", "envoy.api.v2.auth.UpstreamTlsContext",
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
    Renamed{"", "envoy.config.filter.network.tcp_proxy.v2.TcpProxy",
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"},
    Renamed{"", "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"},
};

constexpr std::array kFields = {
    Renamed{"envoy.config.cluster.v3.Cluster", "hosts",
            "xDS v2 had it; endpoints are in load_assignment, or come by EDS"},
    Renamed{"envoy.config.cluster.v3.Cluster", "tls_context",
            "xDS v2 had it; TLS is a transport_socket"},
    Renamed{"envoy.config.listener.v3.FilterChain", "tls_context",
            "xDS v2 had it; TLS is a transport_socket"},
    Renamed{"envoy.config.listener.v3.Filter", "config",
            "xDS v2 had it; a filter's fields are in typed_config, with their @type"},
    Renamed{"", "<<", "merge keys are not supported, aliases of whole values are"},
};

constexpr std::array kValues = {
    Renamed{"envoy.config.cluster.v3.Cluster.LbPolicy", "LEAST_CONN", "LEAST_REQUEST"},
    Renamed{"envoy.config.cluster.v3.Cluster.LbPolicy", "PASSTHROUGH", "CLUSTER_PROVIDED"},
    Renamed{"envoy.config.cluster.v3.Cluster.LbPolicy", "ORIGINAL_DST_LB", "CLUSTER_PROVIDED"},
};

template <std::size_t N>
const Renamed* findRenamed(const std::array<Renamed, N>& table, std::string_view where,
                           std::string_view was) {
  const auto found = std::ranges::find_if(table, [&](const Renamed& one) {
    return one.was == was && (one.where.empty() || one.where == where);
  });
  return found == table.end() ? nullptr : &*found;
}

std::vector<const Descriptor*> resourceTypes() {
  return {envoy::config::cluster::v3::Cluster::descriptor(),
          envoy::config::listener::v3::Listener::descriptor(),
          envoy::config::endpoint::v3::ClusterLoadAssignment::descriptor()};
}

bool hasField(const Descriptor& type, const std::string& key) {
  if (type.FindFieldByName(key) != nullptr) return true;
  return type.FindFieldByCamelcaseName(key) != nullptr;
}

bool hasAny(const DocumentNode& document, std::initializer_list<std::string_view> keys) {
  return std::ranges::any_of(keys,
                             [&](std::string_view key) { return document.find(key) != nullptr; });
}

std::string textOf(const DocumentNode& document, std::string_view key) {
  const DocumentField* field = document.find(key);
  const bool given = field != nullptr && field->value->kind == DocumentNode::Kind::kString;
  return given ? printable(shortened(field->value->text)) : "";
}

std::optional<ForeignDocument> kubernetesObject(const DocumentNode& document) {
  const std::string version = textOf(document, "apiVersion");
  const std::string kind = textOf(document, "kind");
  if (version.empty() || kind.empty()) return std::nullopt;
  const bool istio = version.find(".istio.io/") != std::string::npos;
  return ForeignDocument{
      istio ? Kind::kIstio : Kind::kKubernetes,
      fmt::format("{} object ({} {})", istio ? "an Istio" : "a Kubernetes", version, kind), ""};
}

// Every key is a field of that message, and some more than a name is there.
std::optional<ForeignDocument> resourceWithoutType(const DocumentNode& document) {
  constexpr std::size_t kMostFields = 100;  // of any resource
  if (document.fields.size() < 2 || document.fields.size() > kMostFields) return std::nullopt;
  for (const Descriptor* type : resourceTypes()) {
    const bool all = std::ranges::all_of(
        document.fields, [&](const DocumentField& field) { return hasField(*type, field.key); });
    if (!all) continue;
    return ForeignDocument{Kind::kWithoutType, "a " + type->name() + " without its @type",
                           type->full_name()};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ForeignDocument> foreignDocument(const DocumentNode& document) {
  if (document.kind == DocumentNode::Kind::kList && !document.items.empty()) {
    return foreignDocument(*document.items.front());
  }
  if (document.kind != DocumentNode::Kind::kMap) return std::nullopt;
  if (auto object = kubernetesObject(document)) return object;
  if (hasAny(document, {"@type", "resources"})) {
    return ForeignDocument{Kind::kXdsResource, "an xDS resource", ""};
  }
  if (hasAny(document, {"static_resources", "dynamic_resources", "staticResources",
                        "dynamicResources", "layered_runtime", "layeredRuntime"})) {
    return ForeignDocument{Kind::kBootstrap, "an Envoy bootstrap", ""};
  }
  if (hasAny(document, {"configs"})) {
    return ForeignDocument{Kind::kConfigDump, "an Envoy config dump", ""};
  }
  if (hasAny(document, {"ads", "datapath", "load_balancing", "loadBalancing", "logging"})) {
    return ForeignDocument{Kind::kAgentConfig, "a configuration of sockmeshd", ""};
  }
  return resourceWithoutType(document);
}

std::string typeHint(const std::string& typeName) {
  if (const Renamed* type = findRenamed(kTypes, "", typeName)) {
    return fmt::format(": xDS v2 is not spoken, the v3 type is {}", type->is);
  }
  const bool v2 = typeName.starts_with("envoy.") && typeName.find(".v2") != std::string::npos;
  if (v2) return ": xDS v2 is not spoken, only v3";
  using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
  std::vector<std::string> names = {TcpProxy::descriptor()->full_name()};
  for (const Descriptor* type : resourceTypes()) names.push_back(type->full_name());
  return didYouMean(typeName, names);
}

std::string fieldHint(const std::string& typeName, const std::string& field) {
  const Renamed* known = findRenamed(kFields, typeName, field);
  return known == nullptr ? "" : fmt::format(": {}", known->is);
}

std::string enumHint(const std::string& typeName, const std::string& value) {
  const Renamed* known = findRenamed(kValues, typeName, value);
  return known == nullptr ? "" : fmt::format(", did you mean {}?", known->is);
}

}  // namespace sockmesh
