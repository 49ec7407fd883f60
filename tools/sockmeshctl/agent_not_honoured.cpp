// SPDX-License-Identifier: Apache-2.0
#include "agent_not_honoured.h"

#include "agent_json.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

constexpr const char* kGeneralReason =
    "a route or a hash policy needs a request: its path, a header or the like";

}  // namespace

std::optional<std::vector<NotHonouredResource>> notHonouredOf(const AgentReport& agent) {
  if (!agent.status) return std::nullopt;
  const Json found = child(*agent.status, "notHonoured", Json::value_t::object);
  if (found.empty()) return std::nullopt;
  std::vector<NotHonouredResource> out;
  for (const Json& item : child(found, "items", Json::value_t::array)) {
    out.push_back({text(item, "kind"), text(item, "name"), strings(item, "fields")});
  }
  return out;
}

std::vector<std::string> layerSevenReasons(const AgentReport& agent, const std::string& service) {
  std::vector<std::string> reasons;
  const Json needs = agent.status ? child(*agent.status, "needsLayer7", Json::value_t::array)
                                  : Json(Json::value_t::array);
  for (const Json& need : needs) {
    if (text(need, "service") != service) continue;
    for (const std::string& reason : strings(need, "reasons")) reasons.push_back(reason);
    const auto policies = strings(need, "hashPolicies");
    if (policies.empty()) continue;
    reasons.push_back((policies.size() == 1 ? "hash policy: " : "hash policies: ") +
                      join(policies, ", ") + " (cluster " + text(need, "cluster") + ")");
  }
  if (reasons.empty()) reasons.emplace_back(kGeneralReason);
  return reasons;
}

}  // namespace sockmesh::ctl
