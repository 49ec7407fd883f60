// SPDX-License-Identifier: Apache-2.0
// How each VIP was made, for /routes.
#include <algorithm>

#include "admin/json_views.h"
#include "model/route_list.h"

namespace sockmesh {
namespace {

const char* sourceName(VipSource source) {
  switch (source) {
    case VipSource::kAddress:
      return "Address";
    case VipSource::kPrefix:
      return "Prefix";
    case VipSource::kDomain:
      return "Domain";
    case VipSource::kResolved:
      return "ResolvedName";
    case VipSource::kNameTable:
      return "NameTable";
  }
  return "unknown";
}

void addOrigin(const Origin& origin, AdminJson& json) {
  json["listener"] = origin.listener;
  json["filterChain"] = origin.filterChain;
  json["routeConfig"] = origin.routeConfig;
  json["virtualHost"] = origin.virtualHost;
  json["route"] = origin.route;
}

AdminJson rowJson(const RouteRow& row) {
  const Listener& part = *row.part;
  AdminJson clusters = AdminJson::array();
  for (const WeightedCluster& leg : part.route.clusters) {
    clusters.push_back({{"name", leg.name}, {"weight", leg.weight}});
  }
  AdminJson json = {{"vip", row.vip.hostText()},
                    {"port", row.vip.port},
                    {"protocol", part.protocol == Protocol::kTcp ? "TCP" : "UDP"},
                    {"service", part.name},
                    {"source", sourceName(part.source)}};
  addOrigin(part.origin, json);
  json["clusters"] = clusters;
  json["hashSourceIp"] = part.route.hashSourceIp;
  json["needsLayer7"] = part.needsLayer7;
  return json;
}

AdminJson leftOutJson(const LeftAlone& left) {
  AdminJson vips = AdminJson::array();
  for (const Vip& vip : left.vips) vips.push_back(vip.toString());
  AdminJson json = {{"name", left.name}, {"reason", left.reason}, {"vips", vips}};
  addOrigin(left.origin, json);
  return json;
}

// The row of the longest range that has the address; null: none.
const RouteRow* rangeOf(const RouteList& list, const Vip& address) {
  const RouteRow* longest = nullptr;
  for (const RouteRow& row : list.rows) {
    const bool has = row.part->protocol == Protocol::kTcp && row.vip.contains(address);
    if (has && (longest == nullptr || row.vip.bits > longest->vip.bits)) longest = &row;
  }
  return longest;
}

}  // namespace

AdminJson routesJson(const Snapshot* snapshot, const std::optional<SocketAddress>& vip) {
  AdminJson routes = AdminJson::array();
  AdminJson leftOut = AdminJson::array();
  const RouteList list = snapshot == nullptr ? RouteList{} : routeList(*snapshot);
  for (const RouteRow& row : list.rows) {
    if (!vip || row.vip == *vip) routes.push_back(rowJson(row));
  }
  const RouteRow* range = vip && routes.empty() ? rangeOf(list, *vip) : nullptr;
  if (range != nullptr) routes.push_back(rowJson(*range));
  for (const LeftAlone& left : list.leftOut) {
    const auto has = [&](const Vip& one) { return one.contains(Vip(*vip)); };
    if (!vip || std::ranges::any_of(left.vips, has)) {
      leftOut.push_back(leftOutJson(left));
    }
  }
  return {{"schemaVersion", kAdminSchemaVersion},
          {"kind", "RouteList"},
          {"known", snapshot != nullptr},
          {"routes", routes},
          {"leftOut", leftOut}};
}

}  // namespace sockmesh
