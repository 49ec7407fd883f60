// SPDX-License-Identifier: Apache-2.0
#include "stats/datapath_collector.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "stats/families.h"
#include "stats/istio_metrics.h"
#include "stats/log_histogram.h"
#include "stats/workload_info.h"

namespace sockmesh {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

// A node talks to few of the endpoints and clusters that it knows. Endpoints and clusters without a
// connection have no series: thousands of services would make hundreds of thousands of zeros.
bool isUsed(const ConnectionStats& stats) {
  return stats.selected > 0;
}

std::uint64_t sumOf(const NamedCounts& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

bool isUsed(const ClusterStats& cluster) {
  const std::uint64_t verdicts = cluster.refused.count + cluster.leftAlone.count;
  return verdicts + cluster.reselected + cluster.hashFallback + sumOf(cluster.ejectionsDetected) +
             cluster.ejectedEndpoints >
         0;
}

void addNamed(Family& family, const Labels& labels, const std::string& label,
              const NamedCounts& counts) {
  for (const auto& [name, count] : counts) {
    Labels with = labels;
    with.emplace_back(label, name);
    family.add(with, static_cast<double>(count));
  }
}

// The counters of connections, whatever their labels are.
class ConnectionFamilies {
 public:
  void add(const Labels& labels, const ConnectionStats& stats) {
    selected_.add(labels, static_cast<double>(stats.selected));
    established_.add(labels, static_cast<double>(stats.established));
    addByReason(failed_, labels, stats.failed);
    addByReason(closed_, labels, stats.closed);
    sent_.add(labels, static_cast<double>(stats.sentBytes));
    received_.add(labels, static_cast<double>(stats.receivedBytes));
    retransmits_.add(labels, static_cast<double>(stats.retransmits));
    disputed_.add(labels, static_cast<double>(stats.disputed));
  }

  void take(Families& out) {
    for (Family* family : {&selected_, &established_, &failed_, &disputed_, &closed_, &sent_,
                           &received_, &retransmits_}) {
      out.push_back(family->take());
    }
  }

  static void addByReason(Family& family, const Labels& labels, const NamedCounts& counts) {
    addNamed(family, labels, "reason", counts);
  }

 private:
  Family selected_ = counterFamily("sockmesh_connections_selected_total",
                                   "Connections that connect() sent to an endpoint.");
  Family established_ =
      counterFamily("sockmesh_connections_established_total", "Connections that TCP established.");
  Family failed_ = counterFamily(
      "sockmesh_connections_failed_total",
      "Connections that were not established, by reason; local and abandoned are not the "
      "endpoint's fault.");
  Family disputed_ = counterFamily(
      "sockmesh_connections_failed_disputed_total",
      "Failed connections that no detector counts: their client alone had trouble while the "
      "endpoint served others.");
  Family closed_ = counterFamily("sockmesh_connections_closed_total",
                                 "Established connections that ended, by reason.");
  Family sent_ = counterFamily("sockmesh_sent_bytes_total",
                               "Bytes that peers acknowledged, counted when a connection ends.");
  Family received_ = counterFamily("sockmesh_received_bytes_total",
                                   "Bytes received, counted when a connection ends.");
  Family retransmits_ = counterFamily("sockmesh_retransmits_total",
                                      "TCP segments sent again, counted when a connection ends.");
};

// Values lie within a factor of two of their bucket's bound; the sum takes its middle.
double estimatedSum(const LogHistogram& histogram) {
  double sum = 0;
  for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
    sum += static_cast<double>(histogram.buckets[i]) * 0.75 * upperBoundSeconds(histogram, i);
  }
  return sum;
}

void addHistogram(Family& family, const Labels& labels, const LogHistogram& histogram, double sum) {
  if (sampleCount(histogram) == 0) return;
  std::vector<double> bounds;
  for (std::size_t i = 0; i + 1 < histogram.buckets.size(); ++i) {
    bounds.push_back(upperBoundSeconds(histogram, i));
  }
  family.add(labels, bounds, histogram.buckets, sum);
}

void addHistogram(Family& family, const std::string& cluster, const LogHistogram& histogram) {
  addHistogram(family, {{"cluster", cluster}}, histogram, estimatedSum(histogram));
}

void collectSelectionTimes(const SelectionTimes& times, Families& out) {
  Family family = histogramFamily("sockmesh_selection_duration_seconds",
                                  "Time that a program took to choose an endpoint and to note it, "
                                  "of the sampled selections (metrics.time_one_selection_in).");
  addHistogram(family, {}, times.duration, times.sumSeconds);
  out.push_back(family.take());
}

void collectHistograms(const std::map<std::string, ConnectionStats>& totals, Families& out) {
  Family connect = histogramFamily(
      "sockmesh_connect_duration_seconds",
      "Time from connect() to an established connection. The sum is estimated from the buckets.");
  Family rtt = histogramFamily(
      "sockmesh_rtt_seconds",
      "TCP's smoothed round trip time when a connection ended. The sum is estimated from the "
      "buckets.");
  for (const auto& [cluster, stats] : totals) {
    addHistogram(connect, cluster, stats.connectDuration);
    addHistogram(rtt, cluster, stats.rtt);
  }
  out.push_back(connect.take());
  out.push_back(rtt.take());
}

void collectActive(const DatapathStats& stats, bool endpointLabel,
                   const std::map<std::string, ConnectionStats>& totals, Families& out) {
  Family active = gaugeFamily("sockmesh_connections_active",
                              "Connections that are established or being established.");
  Family ejected =
      gaugeFamily("sockmesh_endpoint_ejected", "1 while the endpoint is out of rotation.");
  for (const EndpointStats& endpoint : mergedByAddress(stats)) {
    const Labels labels = {{"cluster", endpoint.cluster}, {"endpoint", endpoint.address}};
    if (!endpointLabel) break;
    if (!isUsed(endpoint.connections) && endpoint.active == 0 && !endpoint.ejected) continue;
    active.add(labels, static_cast<double>(endpoint.active));
    ejected.add(labels, endpoint.ejected ? 1 : 0);
  }
  for (const ClusterStats& cluster : stats.clusters) {
    if (endpointLabel) break;
    const auto total = totals.find(cluster.cluster);
    if (total == totals.end() || !isUsed(total->second)) continue;
    active.add({{"cluster", cluster.cluster}}, static_cast<double>(cluster.active));
  }
  out.push_back(active.take());
  if (endpointLabel) out.push_back(ejected.take());
}

void addVerdicts(Family& family, const std::string& cluster,
                 const VerdictCounts::ByReason& counts) {
  for (const auto& [reason, count] : counts) {
    family.add({{"cluster", cluster}, {"reason", std::string(reason)}}, static_cast<double>(count));
  }
}

void collectVerdicts(const VerdictCounts& verdicts, Families& out) {
  Family refused = counterFamily("sockmesh_connections_refused_total",
                                 "Connections refused by sockmesh itself, by reason. unknown: one "
                                 "of several reasons.");
  Family leftAlone = counterFamily("sockmesh_connections_left_alone_total",
                                   "Connections to a known VIP that were not rewritten, by reason. "
                                   "unknown: one of several reasons.");
  for (const auto& [cluster, counts] : verdicts.counts()) {
    addVerdicts(refused, cluster, counts.refused);
    addVerdicts(leftAlone, cluster, counts.leftAlone);
  }
  out.push_back(refused.take());
  out.push_back(leftAlone.take());
}

void collectClusters(const DatapathStats& stats, Families& out) {
  Family reselected = counterFamily("sockmesh_connections_reselected_total",
                                    "Choices made again because the first was ejected.");
  Family fallback = counterFamily("sockmesh_hash_fallback_total",
                                  "Choices of a hash policy made without a usable hash.");
  for (const ClusterStats& cluster : stats.clusters) {
    if (!isUsed(cluster)) continue;
    const Labels labels = {{"cluster", cluster.cluster}};
    reselected.add(labels, static_cast<double>(cluster.reselected));
    fallback.add(labels, static_cast<double>(cluster.hashFallback));
  }
  out.push_back(reselected.take());
  out.push_back(fallback.take());
}

// Envoy's cluster.<name>.outlier_detection.*, with labels where Envoy has names.
void collectEjections(const DatapathStats& stats, Families& out) {
  Family endpoints =
      gaugeFamily("sockmesh_cluster_endpoints",
                  "Endpoints of the cluster, used or not; only of clusters that ejected one.");
  Family active = gaugeFamily("sockmesh_outlier_detection_ejections_active",
                              "Endpoints of the cluster that are ejected now.");
  Family enforced = counterFamily("sockmesh_outlier_detection_ejections_enforced_total",
                                  "Ejections, by detector.");
  Family detected = counterFamily("sockmesh_outlier_detection_ejections_detected_total",
                                  "Outliers detected, ejected or not, by detector.");
  Family overflow = counterFamily("sockmesh_outlier_detection_ejections_overflow_total",
                                  "Ejections not made because of max_ejection_percent.");
  Family own = counterFamily("sockmesh_outlier_detection_ejections_own_total",
                             "Ejections of an endpoint by one client, for itself alone.");
  Family forOne = gaugeFamily("sockmesh_outlier_detection_ejections_own_active",
                              "Such ejections that last now, over all clients.");
  for (const ClusterStats& cluster : stats.clusters) {
    if (sumOf(cluster.ejectionsDetected) + cluster.ejectedEndpoints == 0) continue;
    const Labels labels = {{"cluster", cluster.cluster}};
    endpoints.add(labels, static_cast<double>(cluster.endpoints));
    active.add(labels, static_cast<double>(cluster.ejectedEndpoints));
    addNamed(enforced, labels, "type", cluster.ejectionsEnforced);
    addNamed(detected, labels, "type", cluster.ejectionsDetected);
    overflow.add(labels, static_cast<double>(cluster.ejectionsOverflow));
    own.add(labels, static_cast<double>(cluster.ejectionsOwn));
    forOne.add(labels, static_cast<double>(cluster.ejectedForOne));
  }
  for (Family* family : {&endpoints, &active, &enforced, &detected, &overflow, &own, &forOne}) {
    out.push_back(family->take());
  }
}

void collectMaps(const DatapathStats& stats, Families& out) {
  Family entries = gaugeFamily("sockmesh_map_entries", "Entries in use, by map.");
  Family capacity = gaugeFamily("sockmesh_map_capacity", "Entries that fit, by map.");
  Family memory = gaugeFamily("sockmesh_map_memory_bytes", "Memory of a map and of its pages.");
  for (const MapUsage& map : stats.maps) {
    const Labels labels = {{"map", map.name}};
    if (map.countable) entries.add(labels, static_cast<double>(map.entries));
    if (map.capacity > 0) capacity.add(labels, static_cast<double>(map.capacity));
    memory.add(labels, static_cast<double>(map.memoryBytes));
  }
  for (Family* family : {&entries, &capacity, &memory}) out.push_back(family->take());
}

void collectNamed(Family family, const std::string& label, const NamedCounts& counts,
                  Families& out) {
  for (const auto& [name, count] : counts) {
    family.add({{label, std::string(name)}}, static_cast<double>(count));
  }
  out.push_back(family.take());
}

}  // namespace

DatapathCollector::DatapathCollector(Source source, DatapathMetricsOptions options)
    : source_(std::move(source)), options_(options) {}

namespace {

void collectUdpFlows(const UdpFlowStats& flows, std::uint64_t evicted,
                     std::vector<prometheus::MetricFamily>& out) {
  out.push_back(gaugeFamily("sockmesh_udp_flows",
                            "UDP sockets that name a VIP with each send, times their VIPs.")
                    .add({}, static_cast<double>(flows.live))
                    .take());
  collectNamed(counterFamily("sockmesh_udp_flows_total",
                             "What became of UDP flows: created, moved to another endpoint, ended "
                             "with their socket, evicted because there were too many."),
               "event",
               {{"created", flows.created},
                {"moved", flows.moved},
                {"ended", flows.ended},
                {"evicted", evicted}},
               out);
}

void collectServices(const DatapathStats& stats, Families& out) {
  collectNamed(gaugeFamily("sockmesh_left_alone_pods",
                           "Pods (network namespaces) that connected to a VIP within the last 10 "
                           "minutes and are not served, by reason."),
               "reason", stats.unservedNamespaces, out);
  collectNamed(gaugeFamily("sockmesh_services", "Services (VIP, port, protocol), by state."),
               "state", stats.services, out);
  collectNamed(
      gaugeFamily("sockmesh_services_not_balanced",
                  "Services of which connections are refused or left alone, by reason. One "
                  "with several reasons counts for each."),
      "reason", stats.servicesByReason, out);
  out.push_back(gaugeFamily("sockmesh_services_needing_layer7",
                            "Services with a hash policy that needs a request (header, cookie): "
                            "they are balanced without it.")
                    .add({}, static_cast<double>(stats.servicesNeedingLayer7))
                    .take());
  out.push_back(gaugeFamily("sockmesh_services_stale",
                            "1 while all services are left alone, because the control plane was "
                            "not heard within ads.stale_after.")
                    .add({}, stats.stale ? 1 : 0)
                    .take());
}

}  // namespace

std::vector<prometheus::MetricFamily> DatapathCollector::Collect() const {
  Families out;
  const std::lock_guard lock(mutex_);
  const Result<DatapathStats> read = source_();
  out.push_back(gaugeFamily("sockmesh_datapath_readable", "1 while the pinned maps can be read.")
                    .add({}, read ? 1 : 0)
                    .take());
  if (!read) return out;
  const DatapathStats& stats = *read;
  totals_.update(stats);
  verdicts_.update(stats, [this](const std::string& cluster) {
    const auto total = totals_.totals().find(cluster);
    return total != totals_.totals().end() && isUsed(total->second);
  });

  ConnectionFamilies connections;
  if (options_.endpointLabel) {
    for (const EndpointStats& endpoint : mergedByAddress(stats)) {
      if (!isUsed(endpoint.connections)) continue;
      connections.add({{"cluster", endpoint.cluster}, {"endpoint", endpoint.address}},
                      endpoint.connections);
    }
  } else {
    for (const auto& [cluster, total] : totals_.totals()) {
      if (isUsed(total)) connections.add({{"cluster", cluster}}, total);
    }
  }
  connections.take(out);
  if (options_.workloads) out.push_back(workloadInfo(mergedByAddress(stats)));
  collectActive(stats, options_.endpointLabel, totals_.totals(), out);
  collectHistograms(totals_.totals(), out);
  collectSelectionTimes(stats.selectionTimes, out);
  if (options_.istioNames) {
    std::ranges::move(istioFamilies(totals_.totals()), std::back_inserter(out));
  }
  collectVerdicts(verdicts_, out);
  collectClusters(stats, out);
  collectEjections(stats, out);
  collectNamed(counterFamily("sockmesh_datapath_events_total",
                             "Rare events in the programs themselves; see sockmeshctl status."),
               "event", stats.events, out);
  // A counter never goes back.
  evictedFlows_ = std::max(evictedFlows_, stats.udpFlows.evicted);
  collectUdpFlows(stats.udpFlows, evictedFlows_, out);
  collectServices(stats, out);
  collectMaps(stats, out);
  return out;
}

}  // namespace sockmesh
