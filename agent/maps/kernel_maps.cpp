// SPDX-License-Identifier: Apache-2.0
#include "maps/kernel_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <atomic>
#include <cerrno>

namespace sockmesh {

namespace {

// Opens maps and remembers the first error, so that open() below reads as a list.
class Opener {
 public:
  Opener(const std::string& directory, MapAccess access, const PageTypes& types)
      : directory_(directory), access_(access), types_(types) {}

  UniqueFd fd(MapId map) {
    const std::string path = directory_ + "/" + mapName(map);
    LIBBPF_OPTS(bpf_obj_get_opts, options);
    UniqueFd opened(bpf_obj_get_opts(path.c_str(), &options));
    if (!opened.valid()) fail(Error::fromErrno(path, errno));
    return opened;
  }

  std::uint32_t entriesOf(int fd) {
    bpf_map_info info{};
    std::uint32_t length = sizeof(info);
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
      fail(Error::fromErrno("bpf_obj_get_info_by_fd", errno));
    }
    return info.max_entries;
  }

  template <typename T>
  void array(MappedArray<T>& out, MapId map) {
    const UniqueFd opened = fd(map);
    if (!opened.valid()) return;
    auto mapped = MappedArray<T>::map(opened.get(), entriesOf(opened.get()), access_);
    if (!mapped) {
      fail(mapped.error().in(mapName(map)));
      return;
    }
    out = std::move(mapped).value();
  }

  template <typename Table>
  void paged(Table& out, MapId map) {
    const std::string& name = mapName(map);
    UniqueFd outer = fd(map);
    if (!outer.valid()) return;
    auto table = Table::open(directory_, name, std::move(outer), access_, format(name));
    if (!table) {
      fail(table.error());
      return;
    }
    out = std::move(table).value();
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  PageFormat format(const std::string& name) const {
    PageFormat format;
    const auto found = types_.tables.find(name);
    if (found == types_.tables.end()) return format;
    format.btfFd = types_.btfFd;
    format.btfKeyTypeId = found->second.key;
    format.btfValueTypeId = found->second.value;
    return format;
  }

  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }

  const std::string& directory_;
  MapAccess access_;
  const PageTypes& types_;
  std::optional<Error> error_;
};

// Adds `from` to `to`, field by field; both are arrays of words that the programs add to.
template <typename Word>
void addWords(void* to, const void* from, std::size_t words) {
  auto* sum = static_cast<Word*>(to);
  auto* part = static_cast<const Word*>(from);
  for (std::size_t i = 0; i < words; ++i) {
    sum[i] += std::atomic_ref<Word>(const_cast<Word&>(part[i])).load(std::memory_order_relaxed);
  }
}

}  // namespace

PageTypes PageTypes::of(const bpf_object* opened) {
  PageTypes types;
  const bpf_map* table = nullptr;
  bpf_object__for_each_map(table, opened) {
    if (bpf_map__type(table) != BPF_MAP_TYPE_ARRAY_OF_MAPS) continue;
    const bpf_map* page = bpf_map__inner_map(const_cast<bpf_map*>(table));
    if (page == nullptr) continue;
    types.tables[bpf_map__name(table)] = {bpf_map__btf_key_type_id(page),
                                          bpf_map__btf_value_type_id(page)};
  }
  return types;
}

Result<std::unique_ptr<KernelMaps>> KernelMaps::open(const std::string& directory, MapAccess access,
                                                     const PageTypes& types) {
  auto maps = std::make_unique<KernelMaps>();
  Opener opener(directory, access, types);
  maps->frontends4 = BpfHash<sm_frontend4_key, std::uint32_t>(opener.fd(MapId::frontends4));
  maps->frontends6 = BpfHash<sm_frontend6_key, std::uint32_t>(opener.fd(MapId::frontends6));
  opener.array(maps->frontendFilter, MapId::frontend_filter);
  maps->ranges = BpfHash<sm_range_key, std::uint32_t>(opener.fd(MapId::ranges));
  opener.array(maps->heads, MapId::heads);
  opener.paged(maps->descriptors, MapId::descriptors);
  opener.paged(maps->groups, MapId::groups);
  opener.paged(maps->cells, MapId::cells);
  opener.paged(maps->endpoints, MapId::endpoints);
  opener.paged(maps->endpointState, MapId::endpoint_state);
  opener.paged(maps->endpointStats, MapId::endpoint_stats);
  opener.paged(maps->clusterState, MapId::cluster_state);
  opener.paged(maps->clusterStats, MapId::cluster_stats);
  opener.array(maps->unswept, MapId::unswept);
  opener.array(maps->clients, MapId::clients);
  opener.array(maps->clientRuns, MapId::client_runs);
  opener.array(maps->connections, MapId::connections);
  maps->connOverflow = BpfHash<std::uint64_t, sm_connection>(opener.fd(MapId::conn_overflow));
  maps->affinity = BpfHash<sm_affinity_key, sm_affinity>(opener.fd(MapId::affinity));
  maps->flows = BpfHash<sm_flow_key, sm_flow>(opener.fd(MapId::flows));
  maps->flowSources = BpfHash<sm_flow_key, sm_flow_source>(opener.fd(MapId::flow_sources));
  maps->served = BpfHash<sm_served_key, sm_served_rule>(opener.fd(MapId::served));
  maps->unserved = BpfHash<sm_unserved_key, sm_unserved>(opener.fd(MapId::unserved));
  maps->names = BpfHash<sm_name_key, sm_name>(opener.fd(MapId::names));
  opener.array(maps->globals, MapId::globals);
  maps->counters = opener.fd(MapId::counters);
  maps->events = opener.fd(MapId::events);
  opener.array(maps->selections, MapId::selections);
  maps->selectionTimes = opener.fd(MapId::selection_times);
  maps->maxServices = opener.entriesOf(maps->frontends4.fd());
  if (opener.error()) return *opener.error();
  return maps;
}

sm_endpoint_stats sumEndpointStats(const KernelMaps& maps, std::uint32_t endpointId) {
  sm_endpoint_stats sum{};
  constexpr std::size_t kWords = offsetof(sm_endpoint_stats, connect_us) / sizeof(std::uint64_t);
  for (std::uint32_t shard = 0; shard < SM_STATS_SHARDS; ++shard) {
    const auto* part = maps.endpointStats.at((endpointId << SM_STATS_SHARD_BITS) | shard);
    if (part == nullptr) continue;
    addWords<std::uint64_t>(&sum, part, kWords);
    addWords<std::uint32_t>(sum.connect_us, part->connect_us, SM_HISTOGRAM_BUCKETS);
    addWords<std::uint32_t>(sum.rtt_us, part->rtt_us, SM_HISTOGRAM_BUCKETS);
  }
  return sum;
}

sm_cluster_stats sumClusterStats(const KernelMaps& maps, std::uint32_t clusterId) {
  sm_cluster_stats sum{};
  for (std::uint32_t shard = 0; shard < SM_STATS_SHARDS; ++shard) {
    const auto* part = maps.clusterStats.at((clusterId << SM_STATS_SHARD_BITS) | shard);
    if (part != nullptr) addWords<std::uint64_t>(&sum, part, sizeof(sum) / sizeof(std::uint64_t));
  }
  return sum;
}

Result<std::uint64_t> readCounter(const KernelMaps& maps, sm_counter counter) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return Error::fromErrno("number of CPUs", -cpus);
  std::vector<std::uint64_t> values(static_cast<std::size_t>(cpus));
  const std::uint32_t key = counter;
  if (bpf_map_lookup_elem(maps.counters.get(), &key, values.data()) != 0) {
    return Error::fromErrno("counters", errno);
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t value : values) sum += value;
  return sum;
}

Result<sm_selection_times> sumSelectionTimes(const KernelMaps& maps) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return Error::fromErrno("number of CPUs", -cpus);
  std::vector<sm_selection_times> parts(static_cast<std::size_t>(cpus));
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(maps.selectionTimes.get(), &key, parts.data()) != 0) {
    return Error::fromErrno("selection_times", errno);
  }
  sm_selection_times sum{};
  for (const sm_selection_times& part : parts) {
    for (std::size_t i = 0; i < SM_HISTOGRAM_BUCKETS; ++i) sum.count[i] += part.count[i];
    sum.sum_ns += part.sum_ns;
  }
  return sum;
}

}  // namespace sockmesh
