// SPDX-License-Identifier: Apache-2.0
// `map dump`: rows are JSON objects made once, and the table shows the same fields as columns.
#include "map_dump.h"

#include <functional>
#include <map>

#include "commands.h"
#include "maps/kernel_maps.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

const std::map<std::string, std::function<Json(const NodeView&)>>& dumpers() {
  static const std::map<std::string, std::function<Json(const NodeView&)>> kDumpers = {
      {"frontends4", [](const NodeView& v) { return dumpFrontends(v, true); }},
      {"frontends6", [](const NodeView& v) { return dumpFrontends(v, false); }},
      {"frontend_filter", dumpFrontendFilter},
      {"ranges", dumpRanges},
      {"heads", dumpHeads},
      {"descriptors", dumpDescriptors},
      {"groups", dumpGroups},
      {"cells", dumpCells},
      {"endpoints", dumpEndpoints},
      {"endpoint_state", dumpEndpointState},
      {"endpoint_stats", dumpEndpointStats},
      {"cluster_state", dumpClusterState},
      {"cluster_stats", dumpClusterStats},
      {"unswept", dumpUnswept},
      {"clients", dumpClients},
      {"client_runs", dumpClientRuns},
      {"connections", dumpConnections},
      {"conn_overflow", dumpConnOverflow},
      {"affinity", dumpAffinity},
      {"flows", dumpFlows},
      {"flow_sources", dumpFlowSources},
      {"served", dumpServed},
      {"unserved", dumpUnserved},
      {"names", dumpNames},
      {"selections", dumpSelections},
      {"selection_times", dumpSelectionTimes},
      {"counters", dumpCounters},
      {"globals", dumpGlobals},
  };
  return kDumpers;
}

// "portValue" -> "PORT-VALUE"
std::string title(const std::string& field) {
  std::string out;
  for (const char c : field) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) out += '-';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& item : value.items()) {
    const std::string text = cell(item.value());
    parts.push_back(value.is_object() ? item.key() + "=" + text : text);
  }
  return join(parts, ",");
}

Table tableOf(const Json& items) {
  Table table;
  if (items.empty()) return table;
  for (const auto& field : items.front().items()) {
    table.columns.push_back(
        {title(field.key()), false, field.value().is_number(), field.value().is_structured()});
  }
  for (const Json& item : items) {
    std::vector<std::string> row;
    for (const auto& field : item.items()) row.push_back(cell(field.value()));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Outcome mapDump(const NodeView& view, const std::string& name) {
  if (name == "events") {
    return Failure{kExitFailure,
                   "events is a ring that the agent drains: reading it here would take events away "
                   "from the agent"};
  }
  if (name == "asked") {
    return Failure{
        kExitFailure,
        "asked is kept by the sockets: the kernel does not list it. getpeername() of a socket "
        "shows it"};
  }
  const auto found = dumpers().find(name);
  if (found == dumpers().end()) {
    return Failure{kExitUsage, "no map \"" + name + "\"; the maps are " + join(kMapNames, ", ")};
  }
  const Json items = found->second(view);
  return Document{"MapDump", {{"map", name}, {"items", items}}, {{"", tableOf(items)}}};
}

}  // namespace sockmesh::ctl
