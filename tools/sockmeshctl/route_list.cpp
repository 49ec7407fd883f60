// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent_json.h"
#include "commands.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::string vipOf(const Json& route) {
  const auto port = route.contains("port") && route["port"].is_number_unsigned()
                        ? route["port"].get<std::uint64_t>()
                        : 0;
  const std::string ip = text(route, "vip");
  const std::string host = ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
  return host + ":" + std::to_string(port);
}

std::string clustersOf(const Json& route) {
  const Json clusters = child(route, "clusters", Json::value_t::array);
  std::vector<std::string> parts;
  for (const Json& leg : clusters) {
    const bool weighted = clusters.size() > 1 && leg.contains("weight");
    parts.push_back(text(leg, "name") + (weighted ? " " + leg["weight"].dump() : ""));
  }
  return join(parts, ", ");
}

// Whether the VIP, in text, has the address.
bool hasAddress(const std::string& vip, const IpAddress& address) {
  const auto parsed = Vip::parse(vip);
  return parsed && parsed->contains(address);
}

bool passes(const Json& route, const RouteFilter& filter) {
  if (filter.vip && !hasAddress(vipOf(route), *filter.vip)) return false;
  if (filter.port && route.value("port", Json()) != *filter.port) return false;
  return text(route, "service").find(filter.name) != std::string::npos;
}

bool namesVip(const Json& left, const RouteFilter& filter) {
  for (const std::string& vip : strings(left, "vips")) {
    const auto address = Vip::parse(vip);
    if (!address) continue;
    if (filter.vip && !address->contains(*filter.vip)) continue;
    if (!filter.port || address->port == *filter.port) return true;
  }
  return !filter.vip && !filter.port;
}

void addRoutes(const std::vector<Json>& routes, Document& out) {
  Table table;
  table.columns = {{"VIP"},     {"PROTOCOL", true}, {"LISTENER"},    {"CHAIN", true},
                   {"ROUTES"},  {"VIRTUAL HOST"},   {"ROUTE", true}, {"CLUSTERS"},
                   {"LAYER 7"}, {"NEEDS", true}};
  for (const Json& route : routes) {
    const auto needs = strings(route, "needsLayer7");
    table.rows.push_back({vipOf(route), text(route, "protocol"), text(route, "listener"),
                          text(route, "filterChain"), text(route, "routeConfig"),
                          text(route, "virtualHost"), text(route, "route"), clustersOf(route),
                          needs.empty() ? "" : "needed", join(needs, "; ")});
  }
  out.sections.push_back({"", table});
}

void addLeftOut(const std::vector<Json>& all, Document& out) {
  if (all.empty()) return;
  Table table;
  table.columns = {{"  NAME"}, {"REASON", false, false, true}};
  for (const Json& left : all) {
    table.rows.push_back({"  " + text(left, "name"), text(left, "reason")});
  }
  out.sections.push_back({"Left out: " + std::to_string(all.size()), table});
}

}  // namespace

Outcome routeList(const AgentRoutes& agent, const RouteFilter& filter) {
  if (!agent.routes) {
    return Failure{
        kExitUnavailable,
        "agent: not reachable at " + agent.address + " (" + agent.problem +
            "); only the agent knows the routes, `service list` shows the kernel's VIPs"};
  }
  std::vector<Json> routes;
  std::vector<Json> leftOut;
  for (const Json& route : child(*agent.routes, "routes", Json::value_t::array)) {
    if (passes(route, filter)) routes.push_back(route);
  }
  for (const Json& left : child(*agent.routes, "leftOut", Json::value_t::array)) {
    const bool named = text(left, "name").find(filter.name) != std::string::npos;
    if (named && namesVip(left, filter)) leftOut.push_back(left);
  }
  Document out;
  out.kind = "RouteList";
  out.data = {{"routes", routes}, {"leftOut", leftOut}};
  addRoutes(routes, out);
  addLeftOut(leftOut, out);
  return out;
}

}  // namespace sockmesh::ctl
