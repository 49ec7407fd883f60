// SPDX-License-Identifier: Apache-2.0
// The action of a route: the clusters that it leads to, as far as they are known before a request.
#include <cstdint>

#include "decode/decode.h"
#include "decode/decode_common.h"
#include "decode/decode_route.h"

namespace sockmesh {

namespace route = envoy::config::route::v3;
using Action = route::RouteAction;
using HashPolicy = Action::HashPolicy;

namespace {

void decodeLegs(const Action& proto, RouteTarget& target, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "weighted_clusters");
  const MetadataStruct criteria = decodeLbMetadata(proto.metadata_match());
  const auto& legs = proto.weighted_clusters().clusters();
  if (legs.empty()) return errors.add("clusters", "must not be empty");
  std::uint64_t sum = 0;
  for (int i = 0; i < legs.size(); ++i) {
    const FieldErrors::Scope leg(errors, "clusters", i);
    const route::WeightedCluster::ClusterWeight& one = legs.Get(i);
    if (one.name().empty() == one.cluster_header().empty()) {
      errors.add("needs either a name or a cluster_header");
    }
    sum += one.weight().value();
    if (one.weight().value() == 0) continue;
    if (!one.cluster_header().empty()) target.leftAlone = "lets a header name the cluster";
    target.clusters.clusters.push_back(
        {one.name(), one.weight().value(),
         mergedCriteria(criteria, decodeLbMetadata(one.metadata_match()))});
  }
  if (sum == 0) errors.add("clusters", "the sum of the weights must be above 0");
  if (sum > UINT32_MAX) errors.add("clusters", "the sum of the weights exceeds 2^32 - 1");
}

void decodeClusters(const Action& proto, RouteTarget& target, FieldErrors& errors) {
  switch (proto.cluster_specifier_case()) {
    case Action::kCluster:
      checkNotEmpty(proto.cluster(), "cluster", errors);
      target.clusters.clusters.push_back(
          {proto.cluster(), 1, decodeLbMetadata(proto.metadata_match())});
      return;
    case Action::kWeightedClusters:
      return decodeLegs(proto, target, errors);
    case Action::kClusterHeader:
      checkNotEmpty(proto.cluster_header(), "cluster_header", errors);
      target.leftAlone = "lets header " + proto.cluster_header() + " name the cluster";
      return;
    case Action::kClusterSpecifierPlugin:
    case Action::kInlineClusterSpecifierPlugin:
      target.leftAlone = "lets a plugin name the cluster";
      return;
    case Action::CLUSTER_SPECIFIER_NOT_SET:
      errors.add("cluster_specifier", "needs a cluster or weighted_clusters");
  }
}

void decodeHashPolicy(const HashPolicy& proto, RouteTarget& target, FieldErrors& errors) {
  const auto request = [&](const std::string& kind, const std::string& name, const char* field) {
    checkNotEmpty(name, field, errors);
    target.requestHashes.push_back(kind + " " + name);
  };
  switch (proto.policy_specifier_case()) {
    case HashPolicy::kConnectionProperties:
      if (proto.connection_properties().source_ip()) target.clusters.hashSourceIp = true;
      return;
    case HashPolicy::kHeader:
      return request("header", proto.header().header_name(), "header.header_name");
    case HashPolicy::kCookie:
      return request("cookie", proto.cookie().name(), "cookie.name");
    case HashPolicy::kQueryParameter:
      return request("query parameter", proto.query_parameter().name(), "query_parameter.name");
    case HashPolicy::kFilterState:
      return request("filter state", proto.filter_state().key(), "filter_state.key");
    case HashPolicy::POLICY_SPECIFIER_NOT_SET:
      errors.add("names nothing to hash, or something that is not supported");
  }
}

void decodeAction(const Action& proto, RouteTarget& target, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "route");
  decodeClusters(proto, target, errors);
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    const FieldErrors::Scope policy(errors, "hash_policy", i);
    decodeHashPolicy(proto.hash_policy(i), target, errors);
  }
}

}  // namespace

RouteTarget decodeRouteTarget(const route::Route& proto, FieldErrors& errors) {
  RouteTarget target;
  switch (proto.action_case()) {
    case route::Route::kRoute:
      decodeAction(proto.route(), target, errors);
      break;
    case route::Route::kRedirect:
      target.leftAlone = "redirects requests";
      break;
    case route::Route::kDirectResponse:
      target.leftAlone = "answers requests without a cluster";
      break;
    case route::Route::kFilterAction:
    case route::Route::kNonForwardingAction:
      target.leftAlone = "does not forward requests";
      break;
    case route::Route::ACTION_NOT_SET:
      errors.add("action", "is required");
  }
  return target;
}

std::string clustersText(const TcpRoute& target) {
  if (target.clusters.size() == 1) return target.clusters.front().name;
  std::string text;
  for (const WeightedCluster& leg : target.clusters) {
    text += (text.empty() ? "" : ", ") + *leg.name + " " + std::to_string(leg.weight);
  }
  return text;
}

}  // namespace sockmesh
