// SPDX-License-Identifier: Apache-2.0
// The maps that the programs write, endpoints and names.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>

#include "ejection_summary.h"
#include "lb/abi_names.h"
#include "map_dump.h"
#include "maps/client_text.h"
#include "maps/codec.h"
#include "selection_list.h"

namespace sockmesh::ctl {
namespace {

template <std::size_t N, typename Word, typename NameOf>
Json named(const Word (&values)[N], NameOf nameOf) {
  Json out = Json::object();
  for (std::uint32_t i = 0; i < N; ++i) out[std::string(nameOf(i))] = values[i];
  return out;
}

// A socket's cookie as `ss -e` prints it.
std::string skText(std::uint64_t cookie) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "sk:%llx", static_cast<unsigned long long>(cookie));
  return text.data();
}

// The head of every row about an endpoint.
Json endpointRow(const NodeView& view, std::uint32_t id) {
  const auto found = view.image.endpoints.find(id);
  const bool known = found != view.image.endpoints.end();
  return {{"endpointId", id},
          {"endpoint", known ? found->second.endpoint.address.toString() : ""},
          {"cluster", known ? found->second.cluster : ""}};
}

Json clusterRow(const NodeView& view, std::uint32_t id) {
  const auto found = view.image.clusterNames.find(id);
  return {{"clusterId", id},
          {"cluster", found == view.image.clusterNames.end() ? "" : found->second}};
}

Json extended(Json row, const Json& more) {
  row.update(more);
  return row;
}

// How long before the reading, to the millisecond; null for a time after it.
Json secondsSince(std::uint64_t atNs, const NodeView& view) {
  if (atNs > view.live.nowNs) return nullptr;
  return std::round(static_cast<double>(view.live.nowNs - atNs) / 1e6) / 1e3;
}

Json connectionRow(const NodeView& view, const ConnectionRecord& record) {
  const sm_connection& connection = record.connection;
  const SocketAddress vip{decodeAddress(connection.vip_be), decodePort(connection.vip_port_be)};
  const std::uint64_t beganNs = connection.connect_at_ns;
  const auto found = view.sockets.find(record.cookie);
  const TcpSocket socket = found == view.sockets.end() ? TcpSocket{} : found->second;
  Json row = {{"sk", skText(record.cookie)},
              {"local", socket.local},
              {"vip", vip.toString()},
              {"state", connectionStateName(connection.state)}};
  row.update(endpointRow(view, connection.endpoint_id));
  return extended(std::move(row),
                  {{"ageSeconds", beganNs > 0 ? secondsSince(beganNs, view) : Json(nullptr)},
                   {"inode", socket.inode == 0 ? Json(nullptr) : Json(socket.inode)},
                   {"netns", socket.netns},
                   {"netnsPath", socket.netnsPath},
                   {"cookie", record.cookie},
                   {"client", connection.client == SM_CLIENT_NONE
                                  ? Json(nullptr)
                                  : Json(clientText(clientAt(view.live, connection.client)))}});
}

}  // namespace

Json dumpEndpoints(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [id, endpoint] : view.image.endpoints) {
    const LbEndpoint& e = endpoint.endpoint;
    rows.push_back({{"endpointId", id},
                    {"address", e.address.ip.toString()},
                    {"port", e.address.port},
                    {"cluster", endpoint.cluster},
                    {"locality", e.locality->toString()},
                    {"priority", e.priority},
                    {"weight", e.weight},
                    {"health", edsHealthName(e.health)}});
  }
  return rows;
}

// Detectors that never fired are left out.
Json byDetector(const __u64 (&counts)[SM_DETECTORS]) {
  Json json = Json::object();
  for (std::uint32_t i = 0; i < SM_DETECTORS; ++i) {
    if (counts[i] > 0) json[detectorText(i)] = counts[i];
  }
  return json;
}

Json consecutiveRules(const sm_cluster_state& state) {
  Json rules = Json::array();
  for (const sm_consecutive_rule& rule : state.consecutive) {
    if (rule.threshold == 0) continue;
    rules.push_back({{"detector", detectorText(rule.detector)},
                     {"threshold", rule.threshold},
                     {"enforcingPercent", rule.enforcing_percent}});
  }
  return rules;
}

Json dumpEndpointState(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [id, live] : view.live.endpoints) {
    const sm_endpoint_state& state = live.state;
    rows.push_back(extended(endpointRow(view, id),
                            {{"active", state.active},
                             {"consecutiveFailures", state.consecutive_failures},
                             {"ejected", isEjected(state, view.live.nowNs)},
                             {"ejectedUntilNs", state.ejected_until_ns},
                             {"ejectedAtNs", state.ejected_at_ns},
                             {"returnedAtNs", state.unejected_at_ns},
                             {"ejections", state.ejections},
                             {"multiplier", state.multiplier},
                             {"detector", state.ejections > 0 ? detectorText(state.detector) : ""},
                             {"inward", state.inward},
                             {"users", state.users},
                             {"usersBefore", state.users_before},
                             {"votes", state.votes | state.votes_before},
                             {"runs", state.runs}}));
  }
  return rows;
}

Json dumpEndpointStats(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [id, live] : view.live.endpoints) {
    const sm_endpoint_stats& stats = live.stats;
    rows.push_back(extended(endpointRow(view, id), {{"selected", stats.selected},
                                                    {"established", stats.established},
                                                    {"failed", named(stats.failed, failureName)},
                                                    {"closed", named(stats.closed, closeName)},
                                                    {"sentBytes", stats.sent_bytes},
                                                    {"receivedBytes", stats.received_bytes},
                                                    {"retransmits", stats.retransmits},
                                                    {"disputed", stats.disputed},
                                                    {"connectUs", stats.connect_us},
                                                    {"rttUs", stats.rtt_us}}));
  }
  return rows;
}

Json dumpClusterState(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [id, live] : view.live.clusters) {
    const sm_cluster_state& state = live.state;
    rows.push_back(extended(clusterRow(view, id), {{"active", state.active},
                                                   {"ejected", state.ejected},
                                                   {"ejectionLimit", state.ejection_limit},
                                                   {"connectTimeoutNs", state.connect_timeout_ns},
                                                   {"consecutive", consecutiveRules(state)},
                                                   {"baseEjectionNs", state.base_ejection_ns},
                                                   {"maxEjectionNs", state.max_ejection_ns},
                                                   {"intervalNs", state.interval_ns},
                                                   {"jitterMs", state.jitter_ms}}));
  }
  return rows;
}

Json dumpClusterStats(const NodeView& view) {
  Json rows = Json::array();
  for (const auto& [id, live] : view.live.clusters) {
    const sm_cluster_stats& stats = live.stats;
    rows.push_back(
        extended(clusterRow(view, id), {{"refusedNoEndpoints", stats.refused_no_endpoints},
                                        {"leftAlone", stats.left_alone},
                                        {"reselected", stats.reselected},
                                        {"hashFallback", stats.hash_fallback},
                                        {"ejectionsDetected", byDetector(stats.ejections_detected)},
                                        {"ejectionsEnforced", byDetector(stats.ejections_enforced)},
                                        {"ejectionsOverflow", stats.ejections_overflow},
                                        {"ejectionsOwn", stats.ejections_own}}));
  }
  return rows;
}

// Of clusters that are known: the id of another may have been another's.
Json dumpUnswept(const NodeView& view) {
  Json rows = Json::array();
  for (const std::uint32_t id : view.unswept) {
    if (view.image.clusterNames.contains(id)) rows.push_back(clusterRow(view, id));
  }
  return rows;
}

// All records, also the records of the overflow map.
Json dumpConnections(const NodeView& view) {
  Json rows = Json::array();
  for (const ConnectionRecord& record : view.connections) {
    rows.push_back(connectionRow(view, record));
  }
  return rows;
}

Json dumpConnOverflow(const NodeView& view) {
  Json rows = Json::array();
  for (const ConnectionRecord& record : view.connections) {
    if (record.overflow) rows.push_back(connectionRow(view, record));
  }
  return rows;
}

Json dumpAffinity(const NodeView& view) {
  using Whose = std::tuple<VipKey, IpAddress, std::uint64_t>;
  std::map<Whose, sm_affinity> sorted;
  for (const auto& [key, last] : view.affinity) {
    const Vip vip(decodeAddress(key.vip_be), decodePort(key.vip_port_be),
                  key.range_bits == 0 ? Vip::kAddressBits : key.range_bits);
    sorted[{{vip, static_cast<Protocol>(key.protocol)},
            decodeAddress(key.client_be),
            key.netns_cookie}] = last;
  }
  Json rows = Json::array();
  for (const auto& [key, last] : sorted) {
    const auto& [vip, client, netnsCookie] = key;
    const SocketAddress endpoint{decodeAddress(last.addr_be), decodePort(last.port_be)};
    const auto service = view.image.services.find(vip);
    const bool affine = service != view.image.services.end();
    rows.push_back({{"vip", vip.vip.toString()},
                    {"protocol", protocolName(static_cast<std::uint32_t>(vip.protocol))},
                    {"client", client.toString()},
                    {"netnsCookie", netnsCookie},
                    {"endpointId", last.endpoint_id},
                    {"endpoint", endpoint.toString()},
                    {"idleSeconds", secondsSince(last.used_ns, view)},
                    {"timeoutSeconds", affine ? service->second.service->affinitySeconds : 0}});
  }
  return rows;
}

// Flows of UDP sockets that name a VIP with each send.
Json dumpFlows(const NodeView& view) {
  std::map<std::pair<std::uint64_t, SocketAddress>, sm_flow> sorted;
  for (const auto& [key, flow] : view.flows) {
    sorted[{key.cookie, {decodeAddress(key.addr_be), decodePort(key.port_be)}}] = flow;
  }
  Json rows = Json::array();
  for (const auto& [key, flow] : sorted) {
    const SocketAddress endpoint{decodeAddress(flow.last.addr_be), decodePort(flow.last.port_be)};
    rows.push_back({{"sk", skText(key.first)},
                    {"vip", key.second.toString()},
                    {"endpointId", flow.last.endpoint_id},
                    {"endpoint", endpoint.toString()},
                    {"shared", (flow.flags & SM_FLOW_SHARED) != 0},
                    {"idleSeconds", secondsSince(flow.last.used_ns, view)},
                    {"cookie", key.first}});
  }
  return rows;
}

// The VIP that a receiver sees, by socket and source. Of the first links of chains, nothing.
Json dumpFlowSources(const NodeView& view) {
  std::map<std::pair<std::uint64_t, SocketAddress>, sm_flow_source> sorted;
  for (const auto& [key, source] : view.flowSources) {
    if (source.endpoint_id == SM_NONE) continue;
    sorted[{key.cookie, {decodeAddress(key.addr_be), decodePort(key.port_be)}}] = source;
  }
  Json rows = Json::array();
  for (const auto& [key, source] : sorted) {
    const SocketAddress vip{decodeAddress(source.vip.addr_be), decodePort(source.vip.port_be)};
    rows.push_back({{"sk", skText(key.first)},
                    {"source", key.second.toString()},
                    {"vip", vip.toString()},
                    {"endpointId", source.endpoint_id},
                    {"answered", source.answered_ns != 0},
                    {"cookie", key.first}});
  }
  return rows;
}

// The rules on who is served, and how a sidecar is recognised.
Json dumpServed(const NodeView& view) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, sm_served_rule> sorted;
  for (const auto& [key, rule] : view.served) sorted[{key.kind, key.id}] = rule;
  Json rows = Json::array();
  for (const auto& [key, rule] : sorted) {
    const bool sidecar = key.first == SM_SERVED_SIDECAR;
    Json ports = Json::array();
    for (const std::uint16_t port : rule.ports) {
      if (port != 0) ports.push_back(port);
    }
    rows.push_back({{"kind", servedKindName(key.first)},
                    {"id", key.second},
                    {"rule", sidecar || rule.let_in == 0 ? "leave out" : "let in"},
                    {"ports", ports},
                    {"netnsCookie", rule.netns_cookie}});
  }
  return rows;
}

// Who connected to a VIP and was left alone.
Json dumpUnserved(const NodeView& view) {
  Json rows = Json::array();
  for (const Unserved& one : view.live.unserved) {
    const bool past = one.seenNs <= view.live.nowNs;
    const double ago = static_cast<double>(view.live.nowNs - one.seenNs) / 1e9;
    rows.push_back({{"netns", "net:[" + std::to_string(one.netnsInode) + "]"},
                    {"cgroupId", one.cgroupId},
                    {"reason", unservedWord(one.reason).name},
                    {"secondsAgo", past ? Json(ago) : Json(0.0)}});
  }
  return rows;
}

Json dumpNames(const NodeView& view) {
  Json rows = Json::array();
  const auto add = [&rows](std::uint32_t kind, const std::map<std::uint32_t, std::string>& names) {
    for (const auto& [id, name] : names) {
      rows.push_back({{"kind", nameKindName(kind)}, {"id", id}, {"name", name}});
    }
  };
  add(SM_NAME_SERVICE, view.image.serviceNames);
  add(SM_NAME_CLUSTER, view.image.clusterNames);
  add(SM_NAME_LOCALITY, view.image.localityNames);
  return rows;
}

Json dumpClients(const NodeView& view) {
  Json rows = Json::array();
  for (std::size_t place = 0; place < view.live.clients.size(); ++place) {
    const sm_client_line& line = view.live.clients[place];
    const bool others = place == SM_CLIENT_OTHERS;
    if (line.id == 0 && !(others && line.used_ns != 0)) continue;
    rows.push_back({{"place", place},
                    {"client", clientText(line.id)},
                    {"idleSeconds",
                     secondsSince(std::min<std::uint64_t>(line.used_ns, view.live.nowNs), view)},
                    {"overflowRecords", line.records},
                    {"affinities", line.affinities}});
  }
  return rows;
}

Json dumpClientRuns(const NodeView& view) {
  Json rows = Json::array();
  for (const ClientRun& one : view.live.runs) {
    Json row = {{"client", clientText(one.client)}};
    row.update(endpointRow(view, one.endpointId));
    rows.push_back(extended(std::move(row), {{"failures", one.run.failures},
                                             {"ejected", isEjected(one.run, view.live.nowNs)},
                                             {"ejectedUntilNs", one.run.ejected_until_ns},
                                             {"ejectedAtNs", one.run.ejected_at_ns},
                                             {"ejections", one.run.ejections},
                                             {"multiplier", one.run.multiplier}}));
  }
  return rows;
}

Json dumpCounters(const NodeView& view) {
  Json rows = Json::array();
  for (std::uint32_t i = 0; i < SM_COUNTERS; ++i) {
    const Word word = counterWord(i);
    rows.push_back(
        {{"counter", word.name}, {"value", view.live.counters[i]}, {"meaning", word.meaning}});
  }
  return rows;
}

namespace {

// How many watch now.
std::size_t watchers(const NodeView& view) {
  return static_cast<std::size_t>(
      std::ranges::count_if(view.globals.watchers,
                            [&](const sm_watcher& one) { return one.until_ns > view.live.nowNs; }));
}

}  // namespace

Json dumpGlobals(const NodeView& view) {
  Json podParents = Json::array();
  for (const std::uint64_t cgroup : view.globals.pod_parents) {
    if (cgroup != 0) podParents.push_back(cgroup);
  }
  Json rows = Json::array();
  rows.push_back({{"agentTgid", view.globals.agent_tgid},
                  {"agentStartNs", view.globals.agent_start_ns},
                  {"connOverflowLive", view.globals.conn_overflow_live},
                  {"udpUsed", view.globals.udp_used != 0},
                  {"staleFromNs", view.globals.stale_from_ns},
                  {"servedFlags", view.globals.served_flags},
                  {"servedEpoch", view.globals.served_epoch},
                  {"clients", view.globals.clients},
                  {"podsEpoch", view.globals.pods_epoch},
                  {"podParents", std::move(podParents)},
                  {"sampleBelow", view.globals.sample_below},
                  {"histogramBelow", view.globals.histogram_below},
                  {"selections", view.globals.selections},
                  {"watchers", watchers(view)}});
  return rows;
}

Json dumpSelections(const NodeView& view) {
  Json rows = Json::array();
  for (const sm_selection& one : view.selections) {
    Json row = {{"number", one.number}};
    row.update(selectionJson(view, one));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json dumpSelectionTimes(const NodeView& view) {
  Json rows = Json::array();
  rows.push_back({{"firstNs", SM_SELECTION_FIRST_NS},
                  {"buckets", view.live.selectionTimes.count},
                  {"sumNs", view.live.selectionTimes.sum_ns}});
  return rows;
}

}  // namespace sockmesh::ctl
