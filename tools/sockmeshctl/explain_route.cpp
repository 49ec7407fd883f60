// SPDX-License-Identifier: Apache-2.0
// The route of an address, as the agent knows it: what made the VIP, or why there is none.
#include "agent_json.h"
#include "explain.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

std::string placeOf(const Json& from) {
  std::vector<std::string> parts;
  const auto add = [&](const char* what, const char* field) {
    const std::string value = text(from, field);
    if (!value.empty()) parts.push_back(what + value);
  };
  add("listener ", "listener");
  add("", "filterChain");
  add("routes ", "routeConfig");
  add("virtual host ", "virtualHost");
  add("", "route");
  return join(parts, ", ");
}

}  // namespace

void addRoute(const AgentRoutes& agent, Document& out) {
  out.data["route"] = nullptr;
  out.data["leftOut"] = nullptr;
  if (!agent.routes) return;
  out.data["leftOut"] = Json::array();
  for (const Json& route : child(*agent.routes, "routes", Json::value_t::array)) {
    out.data["route"] = route;
    out.sections.push_back({"Route: " + placeOf(route), {}});
  }
  for (const Json& left : child(*agent.routes, "leftOut", Json::value_t::array)) {
    out.data["leftOut"].push_back(left);
    out.sections.push_back({"Left out: " + placeOf(left) + ": " + text(left, "reason"), {}});
  }
}

}  // namespace sockmesh::ctl
