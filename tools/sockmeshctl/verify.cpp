// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "agent_json.h"
#include "commands.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

struct Parsed {
  Json json;  // null where the answer is not one
  Failure failure;
};

Parsed parse(const AgentAnswer& answer) {
  if (answer.status == 0) {
    return {nullptr,
            {kExitUnavailable, "agent: not reachable at " + answer.place + " (" + answer.text +
                                   "); only the agent knows what the kernel should hold, `status` "
                                   "says what it holds"}};
  }
  Json json = Json::parse(answer.text, nullptr, false);
  if (answer.status == 200 && json.is_object()) return {std::move(json), {}};
  if (answer.status == 404) {
    return {nullptr, {kExitUnavailable, "the agent is older and cannot verify"}};
  }
  return {nullptr, {kExitFailure, "the agent cannot tell: " + withoutNewline(answer.text)}};
}

Json differencesOf(const Json& report) {
  return child(report, "differences", Json::value_t::array);
}

std::string betweenText(const Json& difference) {
  const std::string between = text(difference, "between");
  if (between == "ControlPlaneAndTables") return "control plane, tables";
  if (between == "TablesAndKernel") return "tables, kernel";
  return between;
}

Table tableOf(const Json& differences) {
  Table table;
  table.columns = {
      {"BETWEEN", false, false, true}, {"KIND"}, {"NAME"}, {"FIELD"}, {"WANTED"}, {"FOUND"}};
  for (const Json& one : differences) {
    table.rows.push_back({betweenText(one), text(one, "kind"), text(one, "name"),
                          text(one, "field"), text(one, "wanted"), text(one, "found")});
  }
  return table;
}

std::string number(const Json& report, const char* field) {
  const std::string shown = text(report, field);
  return shown.empty() ? "?" : shown;
}

std::string comparedText(const Json& report) {
  return "compared: " + number(report, "services") + " services, " + number(report, "clusters") +
         " clusters, " + number(report, "endpoints") + " endpoints";
}

void addSection(const std::string& heading, const Json& differences, Document& out) {
  out.sections.push_back({heading, differences.empty() ? Table{} : tableOf(differences)});
}

}  // namespace

bool hasDifferences(const AgentAnswer& answer) {
  const Parsed parsed = parse(answer);
  return parsed.json.is_object() && !differencesOf(parsed.json).empty();
}

Outcome verification(const Verification& all) {
  const Parsed first = parse(all.first);
  if (!first.json.is_object()) return first.failure;
  if (all.repair && all.repair->status != 200) {
    return Failure{all.repair->status == 0 ? kExitUnavailable : kExitFailure,
                   "the agent did not repair " +
                       countText(differencesOf(first.json).size(), "difference") + ": " +
                       all.repair->place + ": " + withoutNewline(all.repair->text)};
  }
  const Parsed last = all.second ? parse(*all.second) : first;
  if (!last.json.is_object()) return last.failure;
  const Json before = differencesOf(first.json);
  const Json now = differencesOf(last.json);
  Document out;
  out.kind = "Verification";
  out.data = {{"inStep", now.empty()},
              {"services", last.json.value("services", Json())},
              {"clusters", last.json.value("clusters", Json())},
              {"endpoints", last.json.value("endpoints", Json())},
              {"differences", now},
              {"repaired", all.repair ? before : Json::array()}};
  if (all.repair) {
    addSection("Repair: the agent wrote its tables again, because of " +
                   countText(before.size(), "difference"),
               before, out);
  }
  const std::string compared = " (" + comparedText(last.json) + ")";
  addSection(now.empty() ? "In step: control plane, tables and kernel agree" + compared
                         : "Drift: " + countText(now.size(), "difference") + compared,
             now, out);
  if (!now.empty()) out.exitCode = kExitDrift;
  return out;
}

}  // namespace sockmesh::ctl
