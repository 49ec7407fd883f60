// SPDX-License-Identifier: Apache-2.0
#include "inspect/map_usage.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "inspect/client_runs.h"
#include "lb/table_shape.h"
#include "maps/codec.h"
#include "maps/unswept.h"

namespace sockmesh {
namespace {

using Range = std::pair<std::uint64_t, std::uint64_t>;  // [first, second)

std::uint64_t unionLength(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t total = 0;
  std::uint64_t end = 0;
  for (const auto& [from, to] : ranges) {
    const std::uint64_t start = std::max(from, end);
    if (to <= start) continue;
    total += to - start;
    end = to;
  }
  return total;
}

std::string kindName(std::uint32_t type) {
  switch (type) {
    case BPF_MAP_TYPE_HASH:
      return "hash";
    case BPF_MAP_TYPE_LRU_HASH:
      return "lru_hash";
    case BPF_MAP_TYPE_LPM_TRIE:
      return "lpm_trie";
    case BPF_MAP_TYPE_ARRAY:
      return "array";
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return "percpu_array";
    case BPF_MAP_TYPE_ARRAY_OF_MAPS:
      return "array_of_maps";
    case BPF_MAP_TYPE_SK_STORAGE:
      return "sk_storage";
    case BPF_MAP_TYPE_RINGBUF:
      return "ringbuf";
    default:
      return "type " + std::to_string(type);
  }
}

// The kernel's own account of a map's memory, from its descriptor's fdinfo.
std::uint64_t memoryOf(int fd) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string key;
    std::uint64_t value = 0;
    if (fields >> key >> value && key == "memlock:") return value;
  }
  return 0;
}

struct Counted {
  std::uint32_t entriesPerPage = 0;     // 0: not paged
  std::function<std::uint64_t()> used;  // null: not countable
};

std::uint64_t usedRecords(const KernelMaps& maps) {
  std::uint64_t used = 0;
  for (std::uint32_t i = 0; i < maps.connections.size(); ++i) {
    used += maps.connections[i].cookie != 0 ? 1 : 0;
  }
  return used;
}

template <typename Map>
std::uint64_t usedEntries(const Map& map) {
  const auto entries = map.entries();
  return entries ? entries->size() : 0;
}

std::uint64_t usedFrontends(const KernelImage& image, bool v4) {
  return static_cast<std::uint64_t>(
      std::count_if(image.services.begin(), image.services.end(), [v4](const auto& service) {
        const Vip& vip = service.first.vip;
        return !vip.isRange() && vip.ip.isV4() == v4;
      }));
}

std::uint64_t usedRanges(const KernelImage& image) {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      image.services, [](const auto& one) { return one.first.vip.isRange(); }));
}

std::uint64_t usedClients(const KernelMaps& maps) {
  std::uint64_t used = 0;
  for (std::uint32_t i = 0; i < maps.clients.size(); ++i) used += maps.clients[i].id != 0 ? 1 : 0;
  return used;
}

std::uint64_t usedRuns(const KernelMaps& maps) {
  return clientRuns(maps).size();
}

std::uint64_t usedSelections(const KernelMaps& maps) {
  return std::min<std::uint64_t>(maps.globals[0].selections, SM_SELECTIONS);
}

std::map<std::string, Counted> counters(const KernelMaps& maps, const KernelImage& image) {
  const auto services = [&image] { return image.services.size(); };
  const auto endpoints = [&image] { return image.endpointCount; };
  const auto clusters = [&image] { return image.clusterNames.size(); };
  return {
      {"frontends4", {0, [&] { return usedFrontends(image, true); }}},
      {"frontends6", {0, [&] { return usedFrontends(image, false); }}},
      {"frontend_filter", {0, nullptr}},  // bits: it is never full
      {"ranges", {0, [&] { return usedRanges(image); }}},
      {"heads", {0, services}},
      {"descriptors", {maps.descriptors.kPageEntries, services}},
      {"groups", {maps.groups.kPageEntries, [&] { return usedGroups(image); }}},
      {"cells", {maps.cells.kPageEntries, [&] { return usedCells(image); }}},
      {"endpoints", {maps.endpoints.kPageEntries, endpoints}},
      {"endpoint_state", {maps.endpointState.kPageEntries, endpoints}},
      {"endpoint_stats",
       {maps.endpointStats.kPageEntries, [=] { return endpoints() * SM_STATS_SHARDS; }}},
      {"cluster_state", {maps.clusterState.kPageEntries, clusters}},
      {"cluster_stats",
       {maps.clusterStats.kPageEntries, [=] { return clusters() * SM_STATS_SHARDS; }}},
      {"unswept", {0, [&] { return unsweptClusters(maps).size(); }}},
      {"clients", {0, [&] { return usedClients(maps); }}},
      {"client_runs", {0, [&] { return usedRuns(maps); }}},
      {"connections", {0, [&] { return usedRecords(maps); }}},
      {"conn_overflow", {0, [&]() -> std::uint64_t { return maps.globals[0].conn_overflow_live; }}},
      {"affinity", {0, [&] { return usedEntries(maps.affinity); }}},
      {"asked", {0, nullptr}},  // it belongs to sockets, and nobody can list them
      {"flows", {0, [&] { return maps.flows.count(); }}},
      {"flow_sources", {0, [&] { return maps.flowSources.count(); }}},
      {"served", {0, [&] { return maps.served.count(); }}},
      {"unserved", {0, [&] { return maps.unserved.count(); }}},
      {"names", {0, [&] { return usedEntries(maps.names); }}},
      {"events", {0, nullptr}},
      {"selections", {0, [&] { return usedSelections(maps); }}},
      {"selection_times", {0, []() -> std::uint64_t { return 1; }}},
      {"counters", {0, []() -> std::uint64_t { return SM_COUNTERS; }}},
      {"globals", {0, []() -> std::uint64_t { return 1; }}},
  };
}

Result<MapUsage> usageOf(const std::string& name, const Counted& counted,
                         const std::string& directory) {
  MapUsage usage;
  usage.name = name;
  const std::string path = directory + "/" + name;
  const UniqueFd fd(bpf_obj_get(path.c_str()));
  bpf_map_info info{};
  std::uint32_t length = sizeof(info);
  if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) {
    return Error::fromErrno(path, errno);
  }
  usage.kind = kindName(info.type);
  usage.capacity = info.max_entries;
  usage.memoryBytes = memoryOf(fd.get());
  usage.countable = counted.used != nullptr;
  if (usage.countable) usage.entries = counted.used();
  if (counted.entriesPerPage == 0) return usage;
  usage.capacity *= counted.entriesPerPage;
  auto pages = openPages(directory, name);
  if (!pages) return pages.error();
  usage.pages = pages->size();
  for (const auto& [number, page] : *pages) usage.memoryBytes += memoryOf(page.get());
  return usage;
}

}  // namespace

std::uint64_t usedCells(const KernelImage& image) {
  std::vector<Range> ranges;
  const auto add = [&ranges](std::uint64_t first, std::uint64_t count) {
    if (count > 0) ranges.emplace_back(first, first + count);
  };
  const auto addTables = [&](const ImageService& service) {
    if (service.descriptor.pick_size > 1) {
      add(service.descriptor.pick_cell, service.descriptor.pick_size);
    }
    for (const sm_group& group : service.groups) {
      add(group.table_cell, tableCellCount(shapeOf(group)));
      add(group.host_cell, (group.host_count + 3) / 4);
    }
  };
  for (const auto& [key, service] : image.services) {
    for (const ImageService* one : withOthers(service)) addTables(*one);
  }
  return unionLength(std::move(ranges));
}

std::uint64_t usedGroups(const KernelImage& image) {
  std::vector<Range> ranges;
  for (const auto& [key, service] : image.services) {
    for (const ImageService* one : withOthers(service)) {
      const std::uint64_t first = one->descriptor.group_first;
      ranges.emplace_back(first, first + one->descriptor.group_count);
    }
  }
  return unionLength(std::move(ranges));
}

Result<std::vector<MapUsage>> readMapUsage(const KernelMaps& maps, const KernelImage& image,
                                           const std::string& directory) {
  std::vector<MapUsage> all;
  const auto counted = counters(maps, image);
  for (const std::string& name : kMapNames) {
    const auto found = counted.find(name);
    auto usage = usageOf(name, found == counted.end() ? Counted{} : found->second, directory);
    if (!usage) return usage.error();
    all.push_back(std::move(usage).value());
  }
  return all;
}

}  // namespace sockmesh
