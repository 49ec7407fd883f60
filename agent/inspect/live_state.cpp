// SPDX-License-Identifier: Apache-2.0
#include "inspect/live_state.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "datapath/pin_path.h"
#include "inspect/map_usage.h"
#include "lb/abi_names.h"
#include "lb/service_summary.h"

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

std::string_view detectorWord(std::uint32_t detector) {
  return detectorName(static_cast<Detector>(detector));
}

EndpointStats endpointStats(const ImageEndpoint& endpoint, const LiveEndpoint& live,
                            std::uint64_t nowNs) {
  EndpointStats out;
  out.id = endpoint.id;
  out.cluster = endpoint.cluster;
  out.address = endpoint.endpoint.address.toString();
  out.active = live.state.active;
  out.ejected = isEjected(live.state, nowNs);
  ConnectionStats& to = out.connections;
  const sm_endpoint_stats& from = live.stats;
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
  return out;
}

ClusterStats clusterStats(const std::string& name, const LiveCluster& live) {
  ClusterStats out;
  out.cluster = name;
  out.ejectedEndpoints = live.state.ejected;
  out.refused = {{"no_endpoints", live.stats.refused_no_endpoints}};
  out.leftAlone = live.stats.left_alone;
  out.reselected = live.stats.reselected;
  out.hashFallback = live.stats.hash_fallback;
  out.ejectionsDetected = named(live.stats.ejections_detected, detectorWord);
  out.ejectionsEnforced = named(live.stats.ejections_enforced, detectorWord);
  out.ejectionsOverflow = live.stats.ejections_overflow;
  return out;
}

NamedCounts serviceCounts(const KernelImage& image) {
  NamedCounts counts = {{"balanced", 0},
                        {"refused", 0},
                        {"left_alone", 0},
                        {"mixed", 0},
                        {"broken", image.broken.size()}};
  for (const auto& [key, service] : image.services) {
    ++counts[static_cast<std::size_t>(summarize(*service.service).state)].second;
  }
  return counts;
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

DatapathStats datapathStats(const KernelImage& image, const LiveState& live) {
  DatapathStats out;
  for (const auto& [id, endpoint] : image.endpoints) {
    const auto found = live.endpoints.find(id);
    if (found == live.endpoints.end()) continue;
    out.endpoints.push_back(endpointStats(endpoint, found->second, live.nowNs));
  }
  std::sort(out.endpoints.begin(), out.endpoints.end(), [](const auto& a, const auto& b) {
    return std::tie(a.cluster, a.address, a.id) < std::tie(b.cluster, b.address, b.id);
  });
  std::map<std::string, std::uint64_t> active;
  for (const EndpointStats& endpoint : out.endpoints) active[endpoint.cluster] += endpoint.active;
  for (const auto& [id, name] : image.clusterNames) {
    const auto found = live.clusters.find(id);
    if (found == live.clusters.end()) continue;
    out.clusters.push_back(clusterStats(name, found->second));
    out.clusters.back().active = active[name];
  }
  std::sort(out.clusters.begin(), out.clusters.end(),
            [](const auto& a, const auto& b) { return a.cluster < b.cluster; });
  for (std::uint32_t i = 0; i < SM_COUNTERS; ++i) {
    if (!isRoutine(i)) out.events.emplace_back(counterWord(i).name, live.counters[i]);
  }
  out.maps = live.maps;
  out.udpFlows = udpFlowStats(live);
  out.stale = isStale(live);
  out.unservedNamespaces = unservedNamespaces(live.unserved, live.nowNs);
  out.services = serviceCounts(image);
  out.servicesNeedingLayer7 = static_cast<std::uint64_t>(
      std::count_if(image.services.begin(), image.services.end(), [](const auto& service) {
        return (service.second.service->flags & SM_DESCRIPTOR_NEEDS_L7) != 0;
      }));
  return out;
}

Result<DatapathStats> readDatapathStats(const std::string& bpffsRoot) {
  const std::string directory = PinPath(bpffsRoot).maps();
  auto maps = KernelMaps::open(directory, MapAccess::kReadOnly);
  if (!maps) return maps.error();
  auto image = KernelImage::read(**maps, KernelImage::Tables::kOfGroupsOnly);
  if (!image) return image.error();
  auto live = LiveState::read(**maps, *image, directory);
  if (!live) return live.error();
  return datapathStats(*image, *live);
}

}  // namespace sockmesh
