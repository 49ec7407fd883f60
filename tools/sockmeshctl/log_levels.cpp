// SPDX-License-Identifier: Apache-2.0
#include "agent_json.h"
#include "commands.h"
#include "text.h"

namespace sockmesh::ctl {
Outcome logLevelsOf(const AgentAnswer& answer) {
  if (answer.status == 0) {
    return Failure{kExitUnavailable,
                   "the agent does not answer at " + answer.place + ": " + answer.text};
  }
  const Json json = Json::parse(answer.text, nullptr, false);
  if (answer.status != 200 || !json.is_object()) {
    return Failure{answer.status == 400 ? kExitUsage : kExitFailure,
                   "the agent refuses: " + withoutNewline(answer.text)};
  }
  Document out;
  out.kind = "LogLevels";
  const Json scopes = child(json, "scopes", Json::value_t::object);
  out.data = {{"scopes", scopes}};
  Table table;
  table.columns = {{"SCOPE"}, {"LEVEL"}};
  for (const auto& [scope, level] : scopes.items()) {
    table.rows.push_back({scope, text(scopes, scope.c_str())});
  }
  out.sections.push_back({"", table});
  return out;
}

}  // namespace sockmesh::ctl
