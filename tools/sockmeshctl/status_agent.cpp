// SPDX-License-Identifier: Apache-2.0
#include "status_agent.h"

#include "agent_json.h"
#include "base/version.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

Table typesTable(const Json& types) {
  Table table;
  table.columns = {
      {"  TYPE"},      {"VERSION"},       {"ACCEPTED", false, true}, {"REJECTED", false, true},
      {"LAST-UPDATE"}, {"LAST-REJECTION"}};
  for (const Json& type : types) {
    const Json rejection = child(type, "lastRejection", Json::value_t::object);
    table.rows.push_back({"  " + text(type, "type"), text(type, "version"), text(type, "accepted"),
                          text(type, "rejected"), text(type, "lastUpdateAt"),
                          text(rejection, "message")});
  }
  return table;
}

std::string headline(const Json& status) {
  std::string line = "Agent: " + text(status, "version");
  if (const std::string since = text(status, "startedAt"); !since.empty()) {
    line += ", up since " + since;
  }
  const bool ready = text(status, "ready") == "true";
  line += ready ? ", ready" : ", not ready";
  const auto reasons = strings(status, "notReadyReasons");
  return reasons.empty() ? line : line + " (" + join(reasons, "; ") + ")";
}

std::string controlPlaneLine(const Json& status) {
  const Json xds = child(status, "xds", Json::value_t::object);
  const bool connected = text(xds, "connected") == "true";
  if (text(xds, "address").empty()) return "Control plane: none";
  std::string line = "Control plane: " + text(xds, "address");
  line += connected ? ", connected" : ", not connected";
  if (const std::string protocol = text(xds, "protocol"); !protocol.empty()) {
    line += connected ? " (" + protocol + ")" : "";
  }
  const std::string since = text(xds, connected ? "connectedAt" : "disconnectedAt");
  if (!since.empty()) line += " since " + since;
  if (const std::string space = text(status, "nodeNamespace"); !space.empty()) {
    line += ", view of namespace " + space;
  }
  const std::string problem = text(xds, "lastError");
  return connected || problem.empty() ? line : line + " (" + problem + ")";
}

// Files and names of which something is wrong, each in a line: "File /x: cannot be read".
void addProblems(const std::string& kind, const Json& problems, Document& out) {
  for (const auto& [name, problem] : problems.items()) {
    if (!problem.is_string()) continue;
    out.sections.push_back({kind + " " + name + ": " + problem.get<std::string>(), {}});
  }
}

}  // namespace

void addAgent(const sm_globals& globals, const AgentReport& agent, Document& out) {
  Json json = {{"address", agent.address},
               {"reachable", agent.status.has_value()},
               {"problem", agent.problem},
               {"registeredTgid", globals.agent_tgid},
               {"status", agent.status ? *agent.status : Json(nullptr)}};
  out.data["agent"] = std::move(json);
  if (!agent.status) {
    out.sections.push_back(
        {"Agent: not reachable at " + agent.address + " (" + agent.problem +
             "); what follows is what the kernel holds and keeps doing without it",
         {}});
    return;
  }
  out.sections.push_back({headline(*agent.status), {}});
  for (const std::string& note : strings(*agent.status, "notes")) {
    out.sections.push_back({"Waiting: " + note, {}});
  }
  const Json xds = child(*agent.status, "xds", Json::value_t::object);
  if (const std::string since = text(xds, "staleSince"); !since.empty()) {
    out.sections.push_back(
        {"Stale: from the cache of " + since + ", not confirmed by the control plane yet", {}});
  }
  if (const std::string problem = text(xds, "cacheProblem"); !problem.empty()) {
    out.sections.push_back({"Cache: " + problem, {}});
  }
  if (const std::string problem = text(xds, "auditProblem"); !problem.empty()) {
    out.sections.push_back({"Audit log: " + problem, {}});
  }
  const Json dns = child(*agent.status, "dns", Json::value_t::object);
  addProblems("File", child(xds, "fileProblems", Json::value_t::object), out);
  addProblems("DNS name", child(dns, "problems", Json::value_t::object), out);
  addProblems("DNS cluster", child(dns, "refused", Json::value_t::object), out);
  if (const std::string stale = text(dns, "stale"); !stale.empty() && stale != "0") {
    out.sections.push_back(
        {"DNS: " + stale + " names have the addresses that an earlier agent knew", {}});
  }
  for (const Json& type : child(xds, "types", Json::value_t::array)) {
    const std::string note = text(type, "note");
    if (!note.empty()) out.sections.push_back({text(type, "type") + ": " + note, {}});
  }
  const Table types = typesTable(child(xds, "types", Json::value_t::array));
  out.sections.push_back({controlPlaneLine(*agent.status), types.rows.empty() ? Table{} : types});
}

Outcome versionOf(const AgentReport& agent) {
  const std::string agentVersion = agent.status ? text(*agent.status, "version") : "";
  Table table;
  table.columns = {{""}, {""}};
  table.rows = {{"sockmeshctl", version()},
                {"abi", std::to_string(SM_ABI_VERSION)},
                {"sockmeshd", agent.status ? agentVersion : "not reachable: " + agent.problem}};
  Json data = {{"sockmeshctl", version()},
               {"abi", SM_ABI_VERSION},
               {"sockmeshd", agent.status ? Json(agentVersion) : Json(nullptr)}};
  return Document{"Version", data, {{"", table}}};
}

}  // namespace sockmesh::ctl
