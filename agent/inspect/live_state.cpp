// SPDX-License-Identifier: Apache-2.0
#include "inspect/live_state.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "base/clock.h"
#include "inspect/map_usage.h"
#include "inspect/verdict_reasons.h"
#include "lb/abi_names.h"
#include "lb/service_summary.h"
#include "maps/codec.h"
#include "maps/pin_path.h"

namespace sockmesh {
namespace {

constexpr double kFirstBoundSeconds = SM_HISTOGRAM_FIRST_US / 1e6;

// Copies a struct that the programs write meanwhile. Each aligned word is whole, the struct is not.
template <typename T>
T copyLine(const T* line) {
  T copy{};
  if (line == nullptr) return copy;
  constexpr std::size_t kWords = sizeof(T) / sizeof(std::uint64_t);
  static_assert(kWords * sizeof(std::uint64_t) == sizeof(T));
  auto* to = reinterpret_cast<std::uint64_t*>(&copy);
  auto* from = reinterpret_cast<std::uint64_t*>(const_cast<T*>(line));
  for (std::size_t i = 0; i < kWords; ++i) {
    to[i] = std::atomic_ref<std::uint64_t>(from[i]).load(std::memory_order_relaxed);
  }
  return copy;
}

template <std::size_t N, typename NameOf>
NamedCounts named(const __u64 (&values)[N], NameOf nameOf) {
  NamedCounts counts;
  for (std::uint32_t i = 0; i < N; ++i) counts.emplace_back(nameOf(i), values[i]);
  return counts;
}

LogHistogram histogram(const __u32 (&buckets)[SM_HISTOGRAM_BUCKETS]) {
  return {kFirstBoundSeconds, {std::begin(buckets), std::end(buckets)}};
}

SelectionTimes selectionTimes(const sm_selection_times& from) {
  return {.duration = {SM_SELECTION_FIRST_NS / 1e9, {std::begin(from.count), std::end(from.count)}},
          .sumSeconds = static_cast<double>(from.sum_ns) / 1e9};
}

std::string_view detectorWord(std::uint32_t detector) {
  return detectorName(static_cast<Detector>(detector));
}

ConnectionStats connectionStats(const sm_endpoint_stats& from) {
  ConnectionStats to;
  to.selected = from.selected;
  to.established = from.established;
  to.failed = named(from.failed, failureName);
  to.closed = named(from.closed, closeName);
  to.sentBytes = from.sent_bytes;
  to.receivedBytes = from.received_bytes;
  to.retransmits = from.retransmits;
  to.disputed = from.disputed;
  to.connectDuration = histogram(from.connect_us);
  to.rtt = histogram(from.rtt_us);
  return to;
}

// Whether a connection was ever sent to the endpoint: one word of each shard.
bool wasChosen(const KernelMaps& maps, std::uint32_t id) {
  for (std::uint32_t shard = 0; shard < SM_STATS_SHARDS; ++shard) {
    const auto* part = maps.endpointStats.at((id << SM_STATS_SHARD_BITS) | shard);
    if (part == nullptr) continue;
    auto& selected = const_cast<__u64&>(part->selected);
    if (std::atomic_ref<__u64>(selected).load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

EndpointStats endpointStats(std::uint32_t id, const std::string& cluster,
                            const SocketAddress& address, const LiveEndpoint& live,
                            std::uint64_t nowNs) {
  EndpointStats out;
  out.id = id;
  out.cluster = cluster;
  out.address = address.toString();
  out.active = live.state.active;
  out.ejected = isEjected(live.state, nowNs);
  out.connections = connectionStats(live.stats);
  return out;
}

// All endpoints of a cluster.
struct Counts {
  std::uint64_t endpoints = 0;
  std::uint64_t active = 0;
  std::uint64_t ejectedForOne = 0;  // by one client for itself alone
};

struct Endpoints {
  std::vector<EndpointStats> listed;
  std::unordered_map<std::uint32_t, Counts> clusters;  // by cluster id
};

Endpoints allEndpoints(const KernelImage& image, const LiveState& live) {
  std::map<std::string, std::uint32_t> ids;
  for (const auto& [id, name] : image.clusterNames) ids[name] = id;
  Endpoints out;
  for (const auto& [id, endpoint] : image.endpoints) {
    const auto found = live.endpoints.find(id);
    if (found == live.endpoints.end()) continue;
    Counts& counts = out.clusters[ids[endpoint.cluster]];
    ++counts.endpoints;
    counts.active += found->second.state.active;
    out.listed.push_back(
        endpointStats(id, endpoint.cluster, endpoint.endpoint.address, found->second, live.nowNs));
  }
  for (const ClientRun& run : live.runs) {
    if (!isEjected(run.run, live.nowNs)) continue;
    ++out.clusters[ids[image.endpoints.at(run.endpointId).cluster]].ejectedForOne;
  }
  return out;
}

// Most endpoints of a large mesh are never used from this node. They count nothing, and are not
// copied.
Endpoints usedEndpoints(const KernelMaps& maps, const KernelImage& image, std::uint64_t nowNs) {
  Endpoints out;
  const auto look = [&](std::uint32_t id, const sm_endpoint& raw) {
    Counts& counts = out.clusters[raw.cluster_id];
    ++counts.endpoints;
    LiveEndpoint live{copyLine(maps.endpointState.at(id)), {}};
    counts.active += live.state.active;
    if (live.state.active == 0 && !isEjected(live.state, nowNs) && !wasChosen(maps, id)) return;
    live.stats = sumEndpointStats(maps, id);
    const auto cluster = image.clusterNames.find(raw.cluster_id);
    out.listed.push_back(
        endpointStats(id, cluster == image.clusterNames.end() ? "" : cluster->second,
                      {decodeAddress(raw.addr_be), decodePort(raw.port_be)}, live, nowNs));
  };
  for (const auto& [number, page] : maps.endpoints.pages()) {
    for (std::uint32_t i = 0; i < page.size(); ++i) {
      if (page[i].family != 0) look((number << SM_ENDPOINT_PAGE_BITS) | i, page[i]);
    }
  }
  for (const ClientRun& run : clientRuns(maps)) {
    const sm_endpoint* endpoint = maps.endpoints.at(run.endpointId);
    if (endpoint == nullptr || !isEjected(run.run, nowNs)) continue;
    ++out.clusters[endpoint->cluster_id].ejectedForOne;
  }
  return out;
}

// All endpoints are ejected: a reason to refuse is one now.
void settleEjected(VerdictReasons& reasons, const LiveCluster& live, const Counts& counts) {
  if (reasons.onceEjected.empty() || live.state.ejected == 0) return;
  if (live.state.ejected >= counts.endpoints) reasons.certain.push_back(reasons.onceEjected);
}

ClusterStats clusterStats(std::uint32_t id, const std::string& name, const LiveCluster& live,
                          const Counts& counts) {
  ClusterStats out;
  out.id = id;
  out.cluster = name;
  out.endpoints = counts.endpoints;
  out.active = counts.active;
  out.ejectedEndpoints = live.state.ejected;
  out.refused.count = live.stats.refused_no_endpoints;
  out.leftAlone.count = live.stats.left_alone;
  out.reselected = live.stats.reselected;
  out.hashFallback = live.stats.hash_fallback;
  out.ejectionsDetected = named(live.stats.ejections_detected, detectorWord);
  out.ejectionsEnforced = named(live.stats.ejections_enforced, detectorWord);
  out.ejectionsOverflow = live.stats.ejections_overflow;
  out.ejectionsOwn = live.stats.ejections_own;
  out.ejectedForOne = counts.ejectedForOne;
  return out;
}

void countServices(const KernelImage& image, DatapathStats& out) {
  out.services = {{"balanced", 0},
                  {"refused", 0},
                  {"left_alone", 0},
                  {"mixed", 0},
                  {"broken", image.broken.size()}};
  std::map<std::string_view, std::uint64_t> reasons;
  for (const auto& [key, service] : image.services) {
    const ServiceSummary summary = summarize(*service.service);
    ++out.services[static_cast<std::size_t>(summary.state)].second;
    for (const sm_reason reason : summary.reasons) ++reasons[reasonLabel(reason)];
    if ((service.service->flags & SM_DESCRIPTOR_NEEDS_L7) != 0) ++out.servicesNeedingLayer7;
  }
  out.servicesByReason.assign(reasons.begin(), reasons.end());
  out.suddenRefusals = {reasonLabel(SM_REASON_NO_ENDPOINTS), reasonLabel(SM_REASON_NO_HEALTHY),
                        reasonLabel(SM_REASON_CLUSTER_ABSENT)};
}

// By cluster's name.
std::vector<ClusterStats> clusterStats(const KernelImage& image, const LiveState& live,
                                       std::unordered_map<std::uint32_t, Counts>& counts) {
  std::vector<ClusterStats> out;
  auto reasons = verdictReasons(image);
  for (const auto& [id, name] : image.clusterNames) {
    const auto found = live.clusters.find(id);
    if (found == live.clusters.end()) continue;
    ClusterStats& stats = out.emplace_back(clusterStats(id, name, found->second, counts[id]));
    stats.refused.reasons = std::move(reasons[id].refused);
    stats.leftAlone.reasons = std::move(reasons[id].leftAlone);
    settleEjected(stats.refused.reasons, found->second, counts[id]);
  }
  std::ranges::sort(out, {}, &ClusterStats::cluster);
  return out;
}

}  // namespace

Result<LiveState> LiveState::read(const KernelMaps& maps, const KernelImage& image,
                                  const std::string& mapsDirectory) {
  LiveState live;
  live.nowNs = static_cast<std::uint64_t>(SystemClock().monotonic().count());
  for (const auto& [id, endpoint] : image.endpoints) {
    live.endpoints[id] = {copyLine(maps.endpointState.at(id)), sumEndpointStats(maps, id)};
  }
  for (const auto& [id, name] : image.clusterNames) {
    live.clusters[id] = {copyLine(maps.clusterState.at(id)), sumClusterStats(maps, id)};
  }
  for (std::uint32_t i = 0; i < SM_COUNTERS; ++i) {
    const auto value = readCounter(maps, static_cast<sm_counter>(i));
    if (!value) return value.error();
    live.counters[i] = *value;
  }
  const auto times = sumSelectionTimes(maps);
  if (!times) return times.error();
  live.selectionTimes = *times;
  live.clients = clientLines(maps);
  live.runs = clientRuns(maps);
  std::erase_if(live.runs,
                [&](const ClientRun& run) { return !live.endpoints.contains(run.endpointId); });
  auto unserved = readUnserved(maps);
  if (!unserved) return unserved.error();
  live.unserved = std::move(unserved).value();
  auto usage = readMapUsage(maps, image, mapsDirectory);
  if (!usage) return usage.error();
  live.maps = std::move(usage).value();
  live.staleFromNs = copyLine(&maps.globals[0]).stale_from_ns;
  return live;
}

// What is neither there nor ended was evicted. The counters were read before the map.
UdpFlowStats udpFlowStats(const LiveState& live) {
  const auto map = std::ranges::find(live.maps, mapName(MapId::flows), &MapUsage::name);
  UdpFlowStats out;
  out.live = map == live.maps.end() ? 0 : map->entries;
  out.created = live.counters[SM_COUNTER_FLOWS_CREATED];
  out.moved = live.counters[SM_COUNTER_FLOWS_MOVED];
  out.ended = live.counters[SM_COUNTER_FLOWS_ENDED];
  const std::uint64_t known = out.ended + out.live;
  out.evicted = out.created > known ? out.created - known : 0;
  return out;
}

namespace {

DatapathStats statsOf(const KernelImage& image, const LiveState& live, Endpoints endpoints) {
  DatapathStats out;
  out.endpoints = std::move(endpoints.listed);
  std::sort(out.endpoints.begin(), out.endpoints.end(), [](const auto& a, const auto& b) {
    return std::tie(a.cluster, a.address, a.id) < std::tie(b.cluster, b.address, b.id);
  });
  out.clusters = clusterStats(image, live, endpoints.clusters);
  for (std::uint32_t i = 0; i < SM_COUNTERS; ++i) {
    if (!isRoutine(i)) out.events.emplace_back(counterWord(i).name, live.counters[i]);
  }
  out.maps = live.maps;
  out.udpFlows = udpFlowStats(live);
  out.stale = isStale(live);
  out.selectionTimes = selectionTimes(live.selectionTimes);
  out.unservedNamespaces = unservedNamespaces(live.unserved, live.nowNs);
  countServices(image, out);
  return out;
}

}  // namespace

DatapathStats datapathStats(const KernelImage& image, const LiveState& live) {
  return statsOf(image, live, allEndpoints(image, live));
}

Result<DatapathStats> readDatapathStats(const std::string& bpffsRoot) {
  const std::string directory = PinPath(bpffsRoot).maps();
  auto maps = KernelMaps::open(directory, MapAccess::kReadOnly);
  if (!maps) return maps.error();
  auto image = KernelImage::read(**maps, KernelImage::Tables::kNoHosts);
  if (!image) return image.error();
  auto live = LiveState::read(**maps, *image, directory);
  if (!live) return live.error();
  return statsOf(*image, *live, usedEndpoints(**maps, *image, live->nowNs));
}

}  // namespace sockmesh
