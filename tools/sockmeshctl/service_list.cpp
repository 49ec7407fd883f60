// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "commands.h"
#include "explain.h"
#include "lb/abi_names.h"
#include "lb/service_summary.h"
#include "lb/share.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

bool passes(const VipKey& key, const LbService& service, const ServiceFilter& filter) {
  if (filter.vip && !key.vip.contains(*filter.vip)) return false;
  if (filter.port && key.vip.port != *filter.port) return false;
  return service.name.find(filter.name) != std::string::npos;
}

std::vector<std::string> reasonNames(const ServiceSummary& summary) {
  std::vector<std::string> names;
  for (const sm_reason reason : summary.reasons) names.emplace_back(reasonWord(reason).name);
  return names;
}

std::string stateText(const ServiceSummary& summary) {
  const std::string name = serviceStateName(summary.state);
  return summary.reasons.empty() ? name : name + "(" + join(reasonNames(summary), ",") + ")";
}

std::string clustersText(const ServiceSummary& summary) {
  if (summary.clusters.size() == 1) return summary.clusters.front().cluster;
  std::vector<std::string> parts;
  for (const ClusterSplit& split : summary.clusters) {
    parts.push_back(split.cluster + " " + percentText(split.percent));
  }
  return join(parts, ", ");
}

struct Note {
  std::string name;
  std::string meaning;
};

bool leadsTo(const LbService& service, const std::string& cluster) {
  return std::any_of(service.groups.begin(), service.groups.end(),
                     [&](const auto& group) { return group->cluster == cluster; });
}

// Of the host names of its clusters.
void addHosts(const LbService& service, const AgentNames& names, std::vector<Note>& notes) {
  for (const auto& [cluster, hosts] : names.hosts) {
    if (!leadsTo(service, cluster)) continue;
    for (const HostProblem& host : hosts) {
      const std::string count = std::to_string(host.addresses);
      const std::string has =
          host.stale ? "; has " + count + " addresses that an earlier agent knew"
                     : (host.addresses > 0 ? "; its last " + count + " addresses stay" : "");
      notes.push_back({(host.problem.empty() ? "StaleName(" : "UnresolvedName(") + host.name + ")",
                       "cluster " + cluster + ": " +
                           (host.problem.empty() ? "not answered yet" : host.problem) + has});
    }
  }
}

std::vector<Note> notesOf(const LbService& service, const ServiceSummary& summary,
                          const std::vector<UnreachableEndpoint>& unreachable,
                          const AgentNames& names) {
  std::vector<Note> notes;
  for (const Unreached& one : summary.unreached) {
    const bool v4 = one.sockets == "IPv4";
    notes.push_back({v4 ? "NoEndpointForIpv4Sockets" : "NoEndpointForIpv6OnlySockets",
                     one.text() + ": they are refused with EAFNOSUPPORT"});
  }
  for (const UnreachableEndpoint& one : unreachable) {
    if (!leadsTo(service, one.cluster)) continue;
    notes.push_back({"UnreachableEndpoint(" + one.address.toString() + ")", one.text()});
  }
  if ((service.flags & SM_DESCRIPTOR_NEEDS_L7) != 0) {
    notes.push_back({"NeedsLayer7",
                     "a route or a hash policy of this service needs a request (path, header or "
                     "the like); connections are balanced without it"});
  }
  if ((service.flags & SM_DESCRIPTOR_AUTO_TLS) != 0) {
    notes.push_back({"AutomaticTls",
                     "a sidecar would speak TLS to some endpoints; connections "
                     "are rewritten in plaintext"});
  }
  if (service.affinitySeconds > 0) {
    notes.push_back({"SessionAffinity", "a client goes where it went last, until " +
                                            std::to_string(service.affinitySeconds) +
                                            " s after its last connection"});
  }
  addHosts(service, names, notes);
  return notes;
}

Json toJson(const VipKey& key, const LbService& service, const ServiceSummary& summary,
            const std::vector<Note>& all) {
  Json clusters = Json::array();
  for (const ClusterSplit& split : summary.clusters) {
    clusters.push_back({{"name", split.cluster}, {"percent", split.percent}});
  }
  Json reasons = Json::array();
  for (const sm_reason reason : summary.reasons) {
    const Word word = reasonWord(reason);
    reasons.push_back({{"name", word.name}, {"meaning", word.meaning}});
  }
  Json notes = Json::array();
  for (const Note& note : all) {
    notes.push_back({{"name", note.name}, {"meaning", note.meaning}});
  }
  return {{"vip", key.vip.hostText()},
          {"port", key.vip.port},
          {"protocol", protocolName(static_cast<std::uint32_t>(key.protocol))},
          {"service", service.name},
          {"state", serviceStateName(summary.state)},
          {"reasons", reasons},
          {"policies", summary.policies},
          {"clusters", clusters},
          {"endpoints", summary.hosts},
          {"hashSourceIp", (service.flags & SM_DESCRIPTOR_HASH_SOURCE) != 0},
          {"affinitySeconds", service.affinitySeconds},
          {"notes", notes}};
}

std::vector<std::string> toRow(const VipKey& key, const LbService& service,
                               const ServiceSummary& summary, const std::vector<Note>& all) {
  std::vector<std::string> notes;
  for (const Note& note : all) notes.push_back(note.name);
  return {key.vip.toString(),
          std::string(protocolName(static_cast<std::uint32_t>(key.protocol))),
          service.name,
          stateText(summary),
          join(summary.policies, ","),
          clustersText(summary),
          std::to_string(summary.hosts),
          join(notes, ",")};
}

// Of the endpoints that can be chosen, those that the agent has a name for.
Json workloadsOf(const NodeView& view, const LbService& service) {
  Json all = Json::array();
  for (const auto& [host, share] : shareOf(service).endpoints) {
    const WorkloadName* workload = view.names.at(host.second.ip);
    if (workload == nullptr) continue;
    Json one = {{"address", host.second.ip.toString()}, {"port", host.second.port}};
    one.update(toJson(*workload));
    all.push_back(std::move(one));
  }
  return all;
}

// `only`: what a connection to that address meets.
Outcome listOf(const NodeView& view, const ServiceFilter& filter,
               const std::optional<SocketAddress>& only) {
  Table table;
  table.columns = {{"VIP"},
                   {"PROTOCOL"},
                   {"SERVICE"},
                   {"STATE"},
                   {"POLICY"},
                   {"CLUSTERS"},
                   {"ENDPOINTS", false, true},
                   {"NOTES", true}};
  Json items = Json::array();
  const auto unreachable = unreachableEndpoints(view.image);
  const auto met = only ? view.image.serviceAt(*only) : view.image.services.end();
  for (const auto& [key, service] : view.image.services) {
    if (!passes(key, *service.service, filter)) continue;
    // Other ranges have the address, too.
    if (only && key.vip.isRange() && key != met->first) continue;
    const ServiceSummary summary = summarize(*service.service);
    const std::vector<Note> notes = notesOf(*service.service, summary, unreachable, view.names);
    table.rows.push_back(toRow(key, *service.service, summary, notes));
    items.push_back(toJson(key, *service.service, summary, notes));
  }
  return Document{"ServiceList", {{"items", items}}, {{"", table}}};
}

}  // namespace

Outcome serviceList(const NodeView& view, const ServiceFilter& filter) {
  return listOf(view, filter, std::nullopt);
}

Outcome serviceGet(const NodeView& view, const SocketAddress& vip) {
  Outcome found = listOf(view, {vip.ip, vip.port, ""}, vip);
  auto& document = std::get<Document>(found);
  if (document.data["items"].empty()) {
    const std::string ports = portsOf(view, vip.ip);
    return Failure{kExitFailure,
                   "no service " + vip.toString() +
                       (ports.empty() ? "" : "; this address has the ports " + ports)};
  }
  document.kind = "Service";
  if (view.names.workloads.empty()) return found;
  std::size_t item = 0;
  for (const auto& [key, service] : view.image.services) {
    if (key.vip == vip)
      document.data["items"][item++]["workloads"] = workloadsOf(view, *service.service);
  }
  return found;
}

}  // namespace sockmesh::ctl
