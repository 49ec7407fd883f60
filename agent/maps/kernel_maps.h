// SPDX-License-Identifier: Apache-2.0
// All of the datapath's maps, opened: by the agent for writing, by the CLI and the metrics for
// reading. The programs write counters and records concurrently with any reader.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "maps/bpf_hash.h"
#include "maps/map_names.h"
#include "maps/mapped_memory.h"
#include "maps/paged_table.h"
#include "sockmesh_abi.h"

struct bpf_object;

namespace sockmesh {

// The BTF of pages that are made later. Linux before 6.2 takes a page into a table only if the page
// has BTF like the table's prototype. `bpftool map dump` reads the BTF on every kernel.
struct PageTypes {
  struct Ids {
    std::uint32_t key = 0;
    std::uint32_t value = 0;
  };
  // Of an object that is opened and not yet loaded, because libbpf drops the prototypes when it
  // loads.
  static PageTypes of(const bpf_object* opened);

  int btfFd = -1;  // the loaded object's; not owned, must outlive the maps
  std::map<std::string, Ids> tables;
};

struct KernelMaps {
  BpfHash<sm_frontend4_key, std::uint32_t> frontends4;
  BpfHash<sm_frontend6_key, std::uint32_t> frontends6;
  MappedArray<std::uint64_t> frontendFilter;    // SM_FILTER_WORDS
  BpfHash<sm_range_key, std::uint32_t> ranges;  // find() gives the longest prefix
  MappedArray<std::uint32_t> heads;
  PagedTable<sm_descriptor, SM_DESCRIPTOR_PAGE_BITS> descriptors;
  PagedTable<sm_group, SM_GROUP_PAGE_BITS> groups;
  PagedTable<sm_cell, SM_CELL_PAGE_BITS> cells;
  PagedTable<sm_endpoint, SM_ENDPOINT_PAGE_BITS> endpoints;
  PagedTable<sm_endpoint_state, SM_ENDPOINT_PAGE_BITS> endpointState;
  PagedTable<sm_endpoint_stats, SM_ENDPOINT_PAGE_BITS + SM_STATS_SHARD_BITS> endpointStats;
  PagedTable<sm_cluster_state, SM_CLUSTER_PAGE_BITS> clusterState;
  PagedTable<sm_cluster_stats, SM_CLUSTER_PAGE_BITS + SM_STATS_SHARD_BITS> clusterStats;
  MappedArray<std::uint64_t> unswept;                  // SM_UNSWEPT_WORDS
  MappedArray<sm_client_line> clients;                 // SM_CLIENTS
  MappedArray<sm_run> clientRuns;                      // SM_CLIENT_RUNS a client
  MappedArray<sm_connection> connections;              // SM_CONN_WAYS a set
  BpfHash<std::uint64_t, sm_connection> connOverflow;  // by socket cookie
  BpfHash<sm_affinity_key, sm_affinity> affinity;
  BpfHash<sm_flow_key, sm_flow> flows;
  BpfHash<sm_flow_key, sm_flow_source> flowSources;
  BpfHash<sm_served_key, sm_served_rule> served;
  BpfHash<sm_unserved_key, sm_unserved> unserved;
  BpfHash<sm_name_key, sm_name> names;
  MappedArray<sm_globals> globals;
  UniqueFd counters;
  UniqueFd events;
  MappedArray<sm_selection> selections;  // SM_SELECTIONS
  UniqueFd selectionTimes;
  std::uint32_t maxServices = 0;  // capacity of each of frontends4, frontends6 and of heads - 1

  template <typename Visit>
  void eachPagedTable(Visit visit) const {
    each(*this, visit);
  }
  template <typename Visit>
  void eachPagedTable(Visit visit) {
    each(*this, visit);
  }

  // Opens the maps pinned in `directory` (".../maps"). A caller that makes pages passes their
  // `types`.
  static Result<std::unique_ptr<KernelMaps>> open(const std::string& directory, MapAccess access,
                                                  const PageTypes& types = {});

 private:
  template <typename Self, typename Visit>
  static void each(Self& self, Visit visit) {
    visit(self.descriptors);
    visit(self.groups);
    visit(self.cells);
    visit(self.endpoints);
    visit(self.endpointState);
    visit(self.endpointStats);
    visit(self.clusterState);
    visit(self.clusterStats);
  }
};

// Sums of the shards of one endpoint or cluster. Zeros if there is no page.
sm_endpoint_stats sumEndpointStats(const KernelMaps& maps, std::uint32_t endpointId);
sm_cluster_stats sumClusterStats(const KernelMaps& maps, std::uint32_t clusterId);
// Sum over CPUs of one of enum sm_counter.
Result<std::uint64_t> readCounter(const KernelMaps& maps, sm_counter counter);
// Sum over CPUs.
Result<sm_selection_times> sumSelectionTimes(const KernelMaps& maps);

}  // namespace sockmesh
