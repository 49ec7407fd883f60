// SPDX-License-Identifier: Apache-2.0
// Who is out of rotation, for whom, why, since when, until when and how often. Read from the
// kernel's endpoint states, so it includes ejections that happened while no agent ran.
#include <algorithm>
#include <tuple>

#include "commands.h"
#include "ejection_summary.h"
#include "maps/client_text.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

struct Row {
  const ImageEndpoint* endpoint = nullptr;
  const sm_endpoint_state* state = nullptr;
};

double secondsBetween(std::uint64_t fromNs, std::uint64_t toNs) {
  return static_cast<double>(static_cast<std::int64_t>(toNs - fromNs)) / 1e9;
}

bool isOut(const sm_endpoint_state& state) {
  return state.ejected_until_ns != 0;
}

std::vector<Row> rowsOf(const NodeView& view, const EjectionFilter& filter) {
  std::vector<Row> rows;
  for (const auto& [id, endpoint] : view.image.endpoints) {
    const auto live = view.live.endpoints.find(id);
    if (live == view.live.endpoints.end()) continue;
    if (!filter.cluster.empty() && endpoint.cluster != filter.cluster) continue;
    const sm_endpoint_state& state = live->second.state;
    if (isOut(state) || (filter.returned && state.ejections > 0))
      rows.push_back({&endpoint, &state});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.endpoint->cluster, a.endpoint->endpoint.address) <
           std::tie(b.endpoint->cluster, b.endpoint->endpoint.address);
  });
  return rows;
}

// "in 18s"; "due": the time is over, and the agent's next sweep or the end of the next connection
// unejects the endpoint.
std::string untilText(const sm_endpoint_state& state, std::uint64_t nowNs) {
  if (!isOut(state)) return "returned " + agoText(state.unejected_at_ns, nowNs);
  if (state.ejected_until_ns <= nowNs) return "due";
  return "in " + secondsText(secondsBetween(nowNs, state.ejected_until_ns));
}

Json toJson(const Row& row, std::uint64_t nowNs) {
  const sm_endpoint_state& state = *row.state;
  const SocketAddress& address = row.endpoint->endpoint.address;
  const auto ago = [nowNs](std::uint64_t atNs) {
    return atNs == 0 ? Json(nullptr) : Json(secondsBetween(atNs, nowNs));
  };
  return {{"id", row.endpoint->id},
          {"cluster", row.endpoint->cluster},
          {"address", address.ip.toString()},
          {"port", address.port},
          {"ejected", isOut(state)},
          {"detector", detectorText(state.detector)},
          {"ejectedSecondsAgo", ago(state.ejected_at_ns)},
          {"remainingSeconds",
           isOut(state) ? Json(std::max(0.0, secondsBetween(nowNs, state.ejected_until_ns)))
                        : Json(nullptr)},
          {"returnedSecondsAgo", ago(state.unejected_at_ns)},
          {"ejections", state.ejections},
          {"multiplier", state.multiplier},
          {"consecutiveFailures", state.consecutive_failures}};
}

void addEndpoints(const NodeView& view, const std::vector<Row>& rows, Document& out) {
  Table table;
  table.columns = {{"ENDPOINT"},
                   {"CLUSTER"},
                   {"DETECTOR"},
                   {"SINCE"},
                   {"UNTIL"},
                   {"TIMES", false, true},
                   {"MULTIPLIER", true, true},
                   {"FAILURES-IN-A-ROW", true, true}};
  Json items = Json::array();
  for (const Row& row : rows) {
    const sm_endpoint_state& state = *row.state;
    table.rows.push_back(
        {row.endpoint->endpoint.address.toString(), row.endpoint->cluster,
         detectorText(state.detector), agoText(state.ejected_at_ns, view.live.nowNs),
         untilText(state, view.live.nowNs), std::to_string(state.ejections),
         std::to_string(state.multiplier), std::to_string(state.consecutive_failures)});
    items.push_back(toJson(row, view.live.nowNs));
  }
  out.data["items"] = std::move(items);
  out.sections.push_back({"", std::move(table)});
}

// Those that one client has ejected for itself alone.
std::vector<const ClientRun*> ownOf(const NodeView& view, const EjectionFilter& filter) {
  std::vector<const ClientRun*> own;
  for (const ClientRun& run : view.live.runs) {
    const ImageEndpoint& endpoint = view.image.endpoints.at(run.endpointId);
    if (!filter.cluster.empty() && endpoint.cluster != filter.cluster) continue;
    if (isEjected(run.run, view.live.nowNs)) own.push_back(&run);
  }
  return own;
}

Json toJson(const ClientRun& run, const ImageEndpoint& endpoint, std::uint64_t nowNs) {
  const SocketAddress& address = endpoint.endpoint.address;
  return {{"id", run.endpointId},
          {"cluster", endpoint.cluster},
          {"address", address.ip.toString()},
          {"port", address.port},
          {"client", clientText(run.client)},
          {"detector", detectorText(run.run.detector)},
          {"ejectedSecondsAgo", secondsBetween(run.run.ejected_at_ns, nowNs)},
          {"remainingSeconds", secondsBetween(nowNs, run.run.ejected_until_ns)},
          {"ejections", run.run.ejections},
          {"multiplier", run.run.multiplier},
          {"consecutiveFailures", run.run.failures}};
}

void addOwn(const NodeView& view, const std::vector<const ClientRun*>& own, Document& out) {
  const std::uint64_t now = view.live.nowNs;
  Table table;
  table.columns = {{"ENDPOINT"}, {"CLUSTER"},           {"CLIENT"}, {"DETECTOR"}, {"SINCE"},
                   {"UNTIL"},    {"TIMES", false, true}};
  Json items = Json::array();
  for (const ClientRun* run : own) {
    const ImageEndpoint& endpoint = view.image.endpoints.at(run->endpointId);
    table.rows.push_back({endpoint.endpoint.address.toString(), endpoint.cluster,
                          clientText(run->client), detectorText(run->run.detector),
                          agoText(run->run.ejected_at_ns, now),
                          "in " + secondsText(secondsBetween(now, run->run.ejected_until_ns)),
                          std::to_string(run->run.ejections)});
    items.push_back(toJson(*run, endpoint, now));
  }
  out.data["own"] = std::move(items);
  if (own.empty()) return;
  out.sections.push_back({"Ejected for one client alone", std::move(table)});
}

void addClusters(const std::vector<ClusterEjections>& clusters, Document& out) {
  Table table;
  table.columns = {{"CLUSTER"},
                   {"EJECTED", false, true},
                   {"LIMIT", false, true},
                   {"ENDPOINTS", false, true},
                   {"DETECTED", false, true},
                   {"ENFORCED", false, true},
                   {"OVERFLOW", false, true},
                   {"NOTE"}};
  Json items = Json::array();
  for (const ClusterEjections& cluster : clusters) {
    table.rows.push_back({cluster.name, std::to_string(cluster.ejected),
                          std::to_string(cluster.limit), std::to_string(cluster.endpoints),
                          std::to_string(cluster.detected), std::to_string(cluster.enforced),
                          std::to_string(cluster.overflow), cluster.note()});
    items.push_back({{"cluster", cluster.name},
                     {"ejected", cluster.ejected},
                     {"limit", cluster.limit},
                     {"endpoints", cluster.endpoints},
                     {"detected", cluster.detected},
                     {"enforced", cluster.enforced},
                     {"overflow", cluster.overflow},
                     {"note", cluster.note()}});
  }
  out.data["clusters"] = std::move(items);
  if (clusters.empty()) return;
  out.sections.push_back({"Clusters with outlier detection", std::move(table), true});
  for (const ClusterEjections& cluster : clusters) {
    if (cluster.note().empty()) continue;
    out.sections.push_back({"Note: cluster " + cluster.name + ": " + cluster.note(), {}});
  }
}

}  // namespace

Outcome ejectionList(const NodeView& view, const EjectionFilter& filter) {
  Document out;
  out.kind = "EjectionList";
  out.data = Json::object();
  addEndpoints(view, rowsOf(view, filter), out);
  addOwn(view, ownOf(view, filter), out);
  std::vector<ClusterEjections> clusters = clusterEjections(view);
  std::erase_if(clusters, [&](const ClusterEjections& cluster) {
    return !filter.cluster.empty() && cluster.name != filter.cluster;
  });
  addClusters(clusters, out);
  return out;
}

}  // namespace sockmesh::ctl
