// SPDX-License-Identifier: Apache-2.0
#include "status_not_honoured.h"

#include <map>

#include "agent_json.h"
#include "agent_not_honoured.h"
#include "lb/service_summary.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

constexpr std::size_t kFewServices = 10;

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// A field without effect and the resources that have it. Many clusters have the same field.
struct Field {
  std::size_t clusters = 0;
  std::size_t listeners = 0;
  std::vector<std::string> names;
};

Table fieldsTable(const std::map<std::string, Field>& fields) {
  Table table;
  table.columns = {{"  FIELD"},
                   {"WHY", false, false, true},
                   {"CLUSTERS", false, true},
                   {"LISTENERS", false, true},
                   {"NAMES", true}};
  for (const auto& [what, field] : fields) {
    const auto colon = what.find(": ");
    const std::string why = colon == std::string::npos ? "" : what.substr(colon + 2);
    table.rows.push_back({"  " + what.substr(0, colon), why, std::to_string(field.clusters),
                          std::to_string(field.listeners), join(field.names, ",")});
  }
  return table;
}

void addFields(const AgentReport& agent, Document& out) {
  const auto resources = notHonouredOf(agent);
  if (!resources) return;
  std::map<std::string, Field> fields;
  for (const NotHonouredResource& resource : *resources) {
    for (const std::string& what : resource.fields) {
      Field& field = fields[what];
      ++(resource.kind == "Cluster" ? field.clusters : field.listeners);
      field.names.push_back(resource.name);
    }
  }
  if (fields.empty()) {
    out.sections.push_back({"Not honoured: none", {}});
    return;
  }
  out.sections.push_back({"Not honoured: " + counted(fields.size(), "field") +
                              " without effect, in " + counted(resources->size(), "resource"),
                          fieldsTable(fields)});
}

// One line with the number of resources. -o wide lists them.
void addReasons(const Json& status, const char* field, const std::string& title, Document& out) {
  Table table;
  table.columns = {{""}, {""}};
  for (const Json& item : child(status, field, Json::value_t::array)) {
    table.rows.push_back({"  " + text(item, "name"), text(item, "reason")});
  }
  if (table.rows.empty()) return;
  out.sections.push_back(
      {title + ": " + std::to_string(table.rows.size()) + " (-o wide lists them)", {}});
  out.sections.push_back({"", table, true});
}

}  // namespace

void addNotHonoured(const AgentReport& agent, Document& out) {
  if (!agent.status) return;
  addFields(agent, out);
  addReasons(*agent.status, "leftAlone", "Listeners and virtual hosts that make no VIP", out);
  addReasons(*agent.status, "conflicts", "Conflicts", out);
}

void addLayerSeven(const NodeView& view, const AgentReport& agent, Document& out) {
  Table table;
  table.columns = {{""}, {""}, {""}};
  Json services = Json::array();
  for (const auto& [key, service] : view.image.services) {
    if ((service.service->flags & SM_DESCRIPTOR_NEEDS_L7) == 0) continue;
    const auto reasons = layerSevenReasons(agent, service.service->name);
    table.rows.push_back({"  " + key.vip.toString(), service.service->name, join(reasons, "; ")});
    services.push_back(
        {{"vip", key.vip.toString()}, {"service", service.service->name}, {"reasons", reasons}});
  }
  out.data["needsLayer7"] = services;
  if (table.rows.empty()) return;
  const std::string heading =
      "Needing layer 7: " + counted(table.rows.size(), "service") +
      ", balanced without the requests that their routes or hash policies need";
  // istiod gives nearly every HTTP service a retry policy.
  if (table.rows.size() <= kFewServices) return out.sections.push_back({heading, table});
  out.sections.push_back({heading + " (-o wide lists them)", {}});
  out.sections.push_back({"", table, true});
}

namespace {

void addUnreachedSockets(const NodeView& view, Document& out) {
  Table table;
  table.columns = {{""}, {""}, {""}};
  Json services = Json::array();
  for (const auto& [key, service] : view.image.services) {
    for (const Unreached& one : summarize(*service.service).unreached) {
      table.rows.push_back({"  " + key.vip.toString(), service.service->name, one.text()});
      services.push_back({{"vip", key.vip.toString()},
                          {"service", service.service->name},
                          {"sockets", one.sockets},
                          {"percent", one.percent}});
    }
  }
  out.data["unreachedSockets"] = services;
  if (table.rows.empty()) return;
  out.sections.push_back(
      {"Sockets without an endpoint of their address family, refused with EAFNOSUPPORT:", table});
}

void addUnreachableEndpoints(const NodeView& view, Document& out) {
  Table table;
  table.columns = {{""}, {""}, {""}};
  Json endpoints = Json::array();
  for (const UnreachableEndpoint& one : unreachableEndpoints(view.image)) {
    table.rows.push_back({"  " + one.address.toString(), one.cluster, one.why});
    endpoints.push_back(
        {{"address", one.address.toString()}, {"cluster", one.cluster}, {"why", one.why}});
  }
  out.data["unreachableEndpoints"] = endpoints;
  if (table.rows.empty()) return;
  out.sections.push_back({"Endpoints that cannot be reached, and are used all the same: " +
                              std::to_string(table.rows.size()),
                          table});
}

}  // namespace

void addUnreachable(const NodeView& view, Document& out) {
  addUnreachedSockets(view, out);
  addUnreachableEndpoints(view, out);
}

}  // namespace sockmesh::ctl
