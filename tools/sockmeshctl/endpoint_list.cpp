// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "commands.h"
#include "explain.h"
#include "lb/abi_names.h"
#include "lb/share.h"
#include "stats/log_histogram.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

using Identity = std::pair<std::string, SocketAddress>;  // cluster, address

// Of the connections to one VIP.
struct Share {
  VipKey vip;
  double percent = 0;
};

struct Row {
  const ImageEndpoint* image = nullptr;
  bool ejected = false;
  double ejectedSeconds = 0;  // left
  std::vector<Share> shares;
  EndpointStats stats;
};

// Whether connections to the address are of this service.
bool meets(const NodeView& view, const VipKey& key, const SocketAddress& address) {
  if (!key.vip.isRange()) return key.vip == Vip(address);
  const auto found = view.image.serviceAt(address);
  return found != view.image.services.end() && found->first == key;
}

// Each endpoint's share of each VIP that leads to it, or of `only`, in the order of VIPs.
std::map<Identity, std::vector<Share>> sharesOf(const NodeView& view,
                                                const std::optional<SocketAddress>& only) {
  std::map<Identity, std::vector<Share>> shares;
  for (const auto& [key, service] : view.image.services) {
    if (only && !meets(view, key, *only)) continue;
    for (const auto& [host, share] : shareOf(*service.service).endpoints) {
      if (share > 0) shares[host].push_back({key, share * 100});
    }
  }
  return shares;
}

bool hasService(const NodeView& view, const SocketAddress& vip) {
  return std::any_of(view.image.services.begin(), view.image.services.end(),
                     [&](const auto& service) { return meets(view, service.first, vip); });
}

std::vector<Row> rowsOf(const NodeView& view) {
  std::vector<Row> rows;
  for (EndpointStats& stats : datapathStats(view.image, view.live).endpoints) {
    Row row;
    row.image = &view.image.endpoints.at(stats.id);
    const sm_endpoint_state& state = view.live.endpoints.at(stats.id).state;
    row.ejected = stats.ejected;
    if (row.ejected) {
      row.ejectedSeconds = static_cast<double>(state.ejected_until_ns - view.live.nowNs) / 1e9;
    }
    row.stats = std::move(stats);
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    const LbEndpoint& x = a.image->endpoint;
    const LbEndpoint& y = b.image->endpoint;
    return std::tie(a.image->cluster, x.priority, x.locality, x.address) <
           std::tie(b.image->cluster, y.priority, y.locality, y.address);
  });
  return rows;
}

std::uint64_t total(const NamedCounts& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

std::string byReason(const NamedCounts& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) {
    if (count > 0) parts.push_back(std::string(name) + "=" + std::to_string(count));
  }
  return join(parts, ",");
}

// One number if all VIPs agree, or else the least and the greatest.
std::string shareText(const std::vector<Share>& shares) {
  if (shares.empty()) return "";
  const auto [least, most] =
      std::minmax_element(shares.begin(), shares.end(),
                          [](const Share& a, const Share& b) { return a.percent < b.percent; });
  const std::string low = percentText(least->percent);
  const std::string high = percentText(most->percent);
  return low == high ? low : low + ".." + high;
}

std::string quantilesText(const LogHistogram& histogram) {
  std::vector<std::string> parts;
  for (const double q : {0.5, 0.9, 0.99}) {
    if (const auto seconds = quantileSeconds(histogram, q)) parts.push_back(secondsText(*seconds));
  }
  return join(parts, "/");
}

Json toJson(const NamedCounts& counts) {
  Json json = Json::object();
  for (const auto& [name, count] : counts) json[std::string(name)] = count;
  return json;
}

Json toJson(const LogHistogram& histogram) {
  Json json = {{"count", sampleCount(histogram)}};
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
    const auto seconds = quantileSeconds(histogram, q);
    json[name] = seconds ? Json(*seconds) : Json(nullptr);
  }
  return json;
}

Json toJson(const std::vector<Share>& shares) {
  Json json = Json::array();
  for (const Share& share : shares) {
    json.push_back({{"vip", share.vip.vip.toString()},
                    {"protocol", protocolName(static_cast<std::uint32_t>(share.vip.protocol))},
                    {"percent", share.percent}});
  }
  return json;
}

Json toJson(const Row& row, const sm_endpoint_state& state) {
  const LbEndpoint& endpoint = row.image->endpoint;
  const ConnectionStats& connections = row.stats.connections;
  return {{"id", row.image->id},
          {"address", endpoint.address.ip.toString()},
          {"port", endpoint.address.port},
          {"cluster", row.image->cluster},
          {"locality",
           {{"region", endpoint.locality->region},
            {"zone", endpoint.locality->zone},
            {"subZone", endpoint.locality->subZone}}},
          {"priority", endpoint.priority},
          {"weight", endpoint.weight},
          {"health", edsHealthName(endpoint.health)},
          {"shares", toJson(row.shares)},
          {"active", row.stats.active},
          {"selected", connections.selected},
          {"established", connections.established},
          {"failed", total(connections.failed)},
          {"failedByReason", toJson(connections.failed)},
          {"closedByReason", toJson(connections.closed)},
          {"consecutiveFailures", state.consecutive_failures},
          {"ejected", row.ejected},
          {"ejectedForSeconds", row.ejected ? Json(row.ejectedSeconds) : Json(nullptr)},
          {"sentBytes", connections.sentBytes},
          {"receivedBytes", connections.receivedBytes},
          {"retransmits", connections.retransmits},
          {"connectSeconds", toJson(connections.connectDuration)},
          {"rttSeconds", toJson(connections.rtt)}};
}

std::vector<Column> columns() {
  return {{"ADDRESS"},
          {"CLUSTER"},
          {"LOCALITY"},
          {"PRIORITY", false, true},
          {"WEIGHT", false, true},
          {"HEALTH"},
          {"SHARE", false, true},
          {"ACTIVE", false, true},
          {"SELECTED", false, true},
          {"ESTABLISHED", false, true},
          {"FAILED", false, true},
          {"EJECTED"},
          {"FAILED-BY", true},
          {"CLOSED-BY", true},
          {"SENT", true, true},
          {"RECEIVED", true, true},
          {"RETRANSMITS", true, true},
          {"CONNECT-P50/P90/P99", true},
          {"RTT-P50/P90/P99", true}};
}

std::vector<std::string> toRow(const Row& row) {
  const LbEndpoint& endpoint = row.image->endpoint;
  const ConnectionStats& connections = row.stats.connections;
  return {endpoint.address.toString(),
          row.image->cluster,
          endpoint.locality->toString(),
          std::to_string(endpoint.priority),
          std::to_string(endpoint.weight),
          std::string(edsHealthName(endpoint.health)),
          shareText(row.shares),
          std::to_string(row.stats.active),
          std::to_string(connections.selected),
          std::to_string(connections.established),
          std::to_string(total(connections.failed)),
          row.ejected ? "for " + secondsText(row.ejectedSeconds) : "",
          byReason(connections.failed),
          byReason(connections.closed),
          bytesText(connections.sentBytes),
          bytesText(connections.receivedBytes),
          std::to_string(connections.retransmits),
          quantilesText(connections.connectDuration),
          quantilesText(connections.rtt)};
}

}  // namespace

Outcome endpointList(const NodeView& view, const EndpointFilter& filter) {
  if (filter.service && !hasService(view, *filter.service)) {
    const std::string ports = portsOf(view, filter.service->ip);
    return Failure{kExitFailure,
                   "no service " + filter.service->toString() +
                       (ports.empty() ? "" : "; this address has the ports " + ports)};
  }
  const auto shares = sharesOf(view, filter.service);
  Table table;
  table.columns = columns();
  if (!view.names.workloads.empty()) {
    table.columns.push_back({"WORKLOAD"});
    table.columns.push_back({"NODE"});
  }
  Json items = Json::array();
  for (Row& row : rowsOf(view)) {
    const auto found = shares.find({row.image->cluster, row.image->endpoint.address});
    if (found != shares.end()) row.shares = found->second;
    if (!filter.cluster.empty() && row.image->cluster != filter.cluster) continue;
    if (filter.ejected && !row.ejected) continue;
    if (filter.service && row.shares.empty()) continue;
    const WorkloadName* workload = view.names.at(row.image->endpoint.address.ip);
    table.rows.push_back(toRow(row));
    items.push_back(toJson(row, view.live.endpoints.at(row.image->id).state));
    if (view.names.workloads.empty()) continue;
    table.rows.back().push_back(workload ? workload->text() : "");
    table.rows.back().push_back(workload ? workload->node : "");
    items.back()["workload"] = workload ? toJson(*workload) : Json(nullptr);
  }
  return Document{"EndpointList", {{"items", items}}, {{"", table}}};
}

}  // namespace sockmesh::ctl
