// SPDX-License-Identifier: Apache-2.0
#include "stats/istio_metrics.h"

#include <string_view>

#include "stats/families.h"

namespace sockmesh {
namespace {

constexpr const char* kUnknown = "unknown";

struct Sums {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
  std::uint64_t toClient = 0;    // bytes
  std::uint64_t fromClient = 0;  // bytes
};

std::uint64_t sumOf(const NamedCounts& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

// The host of "outbound|80|v1|host"; "" for another name.
std::string hostOf(const std::string& cluster) {
  if (!cluster.starts_with("outbound|")) return "";
  const auto last = cluster.rfind('|');
  return last == std::string("outbound|").size() - 1 ? "" : cluster.substr(last + 1);
}

Labels labelsOf(const IstioDestination& destination) {
  return {{"reporter", "source"},
          {"request_protocol", "tcp"},
          {"destination_service", destination.service},
          {"destination_service_name", destination.serviceName},
          {"destination_service_namespace", destination.serviceNamespace}};
}

}  // namespace

IstioDestination istioDestination(const std::string& cluster) {
  const std::string host = hostOf(cluster);
  if (host.empty()) return {kUnknown, cluster, kUnknown};
  // NAME.NAMESPACE.svc.DOMAIN
  const auto name = host.find('.');
  const auto space = name == std::string::npos ? name : host.find('.', name + 1);
  if (space == std::string::npos || host.compare(space, 5, ".svc.") != 0) {
    return {host, host, kUnknown};
  }
  return {host, host.substr(0, name), host.substr(name + 1, space - name - 1)};
}

std::vector<prometheus::MetricFamily> istioFamilies(
    const std::map<std::string, ConnectionStats>& totals) {
  std::map<IstioDestination, Sums> byDestination;
  for (const auto& [cluster, stats] : totals) {
    if (stats.established == 0) continue;
    Sums& sums = byDestination[istioDestination(cluster)];
    sums.opened += stats.established;
    sums.closed += sumOf(stats.closed);
    sums.toClient += stats.receivedBytes;
    sums.fromClient += stats.sentBytes;
  }
  Family opened =
      counterFamily("istio_tcp_connections_opened_total", "Connections that TCP established.");
  Family closed =
      counterFamily("istio_tcp_connections_closed_total", "Established connections that ended.");
  Family sent = counterFamily("istio_tcp_sent_bytes_total",
                              "Bytes that clients received, counted when a connection ends.");
  Family received = counterFamily("istio_tcp_received_bytes_total",
                                  "Bytes that clients sent, counted when a connection ends.");
  for (const auto& [destination, sums] : byDestination) {
    const Labels labels = labelsOf(destination);
    opened.add(labels, static_cast<double>(sums.opened));
    closed.add(labels, static_cast<double>(sums.closed));
    sent.add(labels, static_cast<double>(sums.toClient));
    received.add(labels, static_cast<double>(sums.fromClient));
  }
  return {opened.take(), closed.take(), sent.take(), received.take()};
}

}  // namespace sockmesh
