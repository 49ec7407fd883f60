// SPDX-License-Identifier: Apache-2.0
// The groups and endpoints of an explanation.
#include <algorithm>
#include <set>

#include "explain.h"
#include "lb/abi_names.h"
#include "lb/policy/policy.h"
#include "lb/share.h"
#include "maps/client_text.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

Json localityJson(const Locality& locality) {
  return {{"region", locality.region}, {"zone", locality.zone}, {"subZone", locality.subZone}};
}

bool has(const LbGroup& group, std::uint32_t flag) {
  return (group.flags & flag) != 0;
}

// "choices=2,bias=1": the policy's parameters besides its table.
std::string parametersOf(const LbGroup& group) {
  std::vector<std::string> parts;
  if (group.table) parts.push_back("table=" + std::to_string(group.table->size));
  const auto others = policyOf(group.policy).parameters(group);
  parts.insert(parts.end(), others.begin(), others.end());
  return join(parts, ",");
}

std::string notesOf(const LbGroup& group) {
  std::vector<std::string> notes;
  if (has(group, SM_GROUP_PANIC)) notes.emplace_back("panic: all hosts, whatever their health");
  if (has(group, SM_GROUP_DEGRADED)) notes.emplace_back("degraded hosts");
  const auto others = policyOf(group.policy).notes(group);
  notes.insert(notes.end(), others.begin(), others.end());
  if (group.reason != SM_REASON_NONE) notes.emplace_back(reasonWord(group.reason).meaning);
  return join(notes, "; ");
}

Json groupJson(std::size_t index, const LbGroup& group, double share) {
  const Word reason = reasonWord(group.reason);
  const bool given = group.reason != SM_REASON_NONE;
  return {{"index", index},
          {"percent", share * 100},
          {"policy", policyName(group.policy)},
          {"reason", given ? reason.name : ""},
          {"meaning", given ? reason.meaning : ""},
          {"cluster", group.cluster},
          {"priority", group.priority},
          {"locality", localityJson(group.locality)},
          {"hosts", group.hosts.size()},
          {"panic", has(group, SM_GROUP_PANIC)},
          {"degraded", has(group, SM_GROUP_DEGRADED)},
          {"weighted", has(group, SM_GROUP_WEIGHTED)},
          {"fullScan", has(group, SM_GROUP_FULL_SCAN)},
          {"choiceCount", group.choiceCount},
          {"activeRequestBias", group.biasQ16 / 65536.0},
          {"hashBalanceFactor", group.balancePercent},
          {"tableSize", group.table ? group.table->size : 0}};
}

// ---- endpoints ----

struct Row {
  const ImageEndpoint* image = nullptr;
  double share = 0;
  std::uint32_t active = 0;
  std::optional<double> ejected;  // seconds left
  bool own = false;               // by the client in question, for itself
};

// Seconds for which the client in question has ejected the endpoint for itself.
std::optional<double> ownEjectedSeconds(const Explained& explained, std::uint32_t endpointId) {
  const LiveState& live = explained.view.live;
  for (const ClientRun& run : live.runs) {
    if (run.endpointId != endpointId || !isEjected(run.run, live.nowNs)) continue;
    if (clientText(run.client) != explained.client) continue;
    return static_cast<double>(run.run.ejected_until_ns - live.nowNs) / 1e9;
  }
  return std::nullopt;
}

std::vector<Row> rowsOf(const Explained& explained) {
  std::set<std::string> clusters;
  for (const auto& group : explained.service.groups) clusters.insert(group->cluster);
  const ServiceShares shares = shareOf(explained.service);
  std::vector<Row> rows;
  for (const auto& [id, endpoint] : explained.view.image.endpoints) {
    if (!clusters.contains(endpoint.cluster)) continue;
    Row row;
    row.image = &endpoint;
    const auto share = shares.endpoints.find({endpoint.cluster, endpoint.endpoint.address});
    if (share != shares.endpoints.end()) row.share = share->second;
    const auto live = explained.view.live.endpoints.find(id);
    if (live != explained.view.live.endpoints.end()) row.active = live->second.state.active;
    row.ejected = ejectedSeconds(explained.view, id);
    if (!row.ejected) {
      row.ejected = ownEjectedSeconds(explained, id);
      row.own = row.ejected.has_value();
    }
    rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    const LbEndpoint& x = a.image->endpoint;
    const LbEndpoint& y = b.image->endpoint;
    return std::tie(a.image->cluster, x.priority, x.locality, x.address) <
           std::tie(b.image->cluster, y.priority, y.locality, y.address);
  });
  return rows;
}

std::string healthOf(const LbEndpoint& endpoint) {
  return std::string(edsHealthName(endpoint.health));
}

Json endpointJson(const Row& row) {
  const LbEndpoint& endpoint = row.image->endpoint;
  return {{"id", row.image->id},
          {"address", endpoint.address.ip.toString()},
          {"port", endpoint.address.port},
          {"cluster", row.image->cluster},
          {"priority", endpoint.priority},
          {"locality", localityJson(endpoint.locality)},
          {"weight", endpoint.weight},
          {"percent", row.share * 100},
          {"active", row.active},
          {"health", healthOf(endpoint)},
          {"ejected", row.ejected.has_value()},
          {"ejectedByClient", row.own},
          {"ejectedForSeconds", row.ejected ? Json(*row.ejected) : Json(nullptr)}};
}

std::vector<std::string> endpointRow(const Row& row) {
  const LbEndpoint& endpoint = row.image->endpoint;
  return {
      "  " + endpoint.address.toString(),
      row.image->cluster,
      std::to_string(endpoint.priority),
      endpoint.locality->toString(),
      std::to_string(endpoint.weight),
      percentText(row.share * 100),
      std::to_string(row.active),
      healthOf(endpoint),
      row.ejected ? "for " + secondsText(*row.ejected) + (row.own ? ", by this client" : "") : ""};
}

// The condition under which the tables' shares hold.
std::string conditionOf(const Explained& explained) {
  const auto& groups = explained.service.groups;
  const bool byLoad = std::any_of(groups.begin(), groups.end(), [](const auto& group) {
    return policyOf(group->policy).goesByLoad();
  });
  if (byLoad) return " (least request: while all are equally busy)";
  const bool bySource = (explained.service.flags & SM_DESCRIPTOR_HASH_SOURCE) != 0;
  return bySource ? " (by hash: over many clients)" : "";
}

}  // namespace

std::optional<double> ejectedSeconds(const NodeView& view, std::uint32_t endpointId) {
  const auto live = view.live.endpoints.find(endpointId);
  if (live == view.live.endpoints.end()) return std::nullopt;
  const sm_endpoint_state& state = live->second.state;
  if (!isEjected(state, view.live.nowNs)) return std::nullopt;
  return static_cast<double>(state.ejected_until_ns - view.live.nowNs) / 1e9;
}

void addGroups(const Explained& explained, Document& out) {
  Table table;
  table.columns = {{"  GROUP"},
                   {"SHARE", false, true},
                   {"POLICY"},
                   {"CLUSTER"},
                   {"PRIORITY", false, true},
                   {"LOCALITY"},
                   {"HOSTS", false, true},
                   {"NOTES"},
                   {"PARAMETERS", true}};
  Json groups = Json::array();
  for (std::size_t i = 0; i < explained.service.groups.size(); ++i) {
    const LbGroup& group = *explained.service.groups[i];
    const double share = explained.groupShares[i];
    table.rows.push_back({"  " + std::to_string(i), percentText(share * 100),
                          std::string(policyName(group.policy)), group.cluster,
                          std::to_string(group.priority), group.locality->toString(),
                          std::to_string(group.hosts.size()), notesOf(group), parametersOf(group)});
    groups.push_back(groupJson(i, group, share));
  }
  out.data["groups"] = groups;
  out.sections.push_back({"Groups, and their share of new connections:", table});
}

void addEndpoints(const Explained& explained, Document& out) {
  Table table;
  table.columns = {{"  ADDRESS"},
                   {"CLUSTER"},
                   {"PRIORITY", false, true},
                   {"LOCALITY"},
                   {"WEIGHT", false, true},
                   {"SHARE", false, true},
                   {"ACTIVE", false, true},
                   {"HEALTH"},
                   {"EJECTED"}};
  Json endpoints = Json::array();
  const AgentNames& names = explained.view.names;
  if (!names.workloads.empty()) {
    table.columns.push_back({"WORKLOAD"});
    table.columns.push_back({"NODE"});
  }
  for (const Row& row : rowsOf(explained)) {
    table.rows.push_back(endpointRow(row));
    endpoints.push_back(endpointJson(row));
    if (names.workloads.empty()) continue;
    const WorkloadName* workload = names.at(row.image->endpoint.address.ip);
    table.rows.back().push_back(workload ? workload->text() : "");
    table.rows.back().push_back(workload ? workload->node : "");
    endpoints.back()["workload"] = workload ? toJson(*workload) : Json(nullptr);
  }
  out.data["endpoints"] = endpoints;
  const bool none = table.rows.empty();
  out.sections.push_back(
      {none ? "Endpoints: none"
            : "Endpoints, and their share of new connections" + conditionOf(explained) + ":",
       none ? Table{} : table});
}

}  // namespace sockmesh::ctl
