// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

template <typename Counts, typename ToText>
Json countsJson(const Counts& counts, const char* what, ToText text) {
  Json json = Json::array();
  for (const auto& [key, count] : counts) json.push_back({{what, text(key)}, {"count", count}});
  return json;
}

}  // namespace

Outcome connectReport(const ProbeReport& report, const std::string& asked, bool mustBeRewritten) {
  const auto text = [](const SocketAddress& address) { return address.toString(); };
  Table table;
  table.columns = {{"ENDPOINT"}, {"CONNECTIONS", false, true}, {"RESULT", false, false, true}};
  for (const auto& [endpoint, count] : report.endpoints) {
    table.rows.push_back({text(endpoint), std::to_string(count),
                          endpoint == report.address ? "not rewritten" : "rewritten"});
  }
  for (const auto& [reason, count] : report.failures) {
    table.rows.push_back({"", std::to_string(count), reason});
  }
  const int all = report.established() + report.failed();
  const std::string heading = asked + " is " + text(report.address) + ": " +
                              std::to_string(report.established()) + " of " + std::to_string(all) +
                              " connections established, " + std::to_string(report.rewritten()) +
                              " rewritten";
  const bool good = report.failed() == 0 && (!mustBeRewritten || report.rewritten() == all);
  return Document{"ConnectReport",
                  {{"asked", asked},
                   {"address", text(report.address)},
                   {"established", report.established()},
                   {"rewritten", report.rewritten()},
                   {"endpoints", countsJson(report.endpoints, "endpoint", text)},
                   {"peersShown", countsJson(report.peersShown, "peer", text)},
                   {"failures", countsJson(report.failures, "reason",
                                           [](const std::string& reason) { return reason; })}},
                  {{heading, table}},
                  good ? kExitOk : kExitFailure};
}

}  // namespace sockmesh::ctl
