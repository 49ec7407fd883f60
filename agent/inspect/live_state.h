// SPDX-License-Identifier: Apache-2.0
// What the programs have counted so far, summed over shards and CPUs. This half of the maps changes
// without the agent. A reading is not atomic: counters move meanwhile.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "inspect/client_runs.h"
#include "inspect/unserved.h"
#include "maps/kernel_image.h"
#include "maps/kernel_maps.h"
#include "model/ejection.h"
#include "sockmesh_abi.h"
#include "stats/datapath_stats.h"

namespace sockmesh {

struct LiveEndpoint {
  sm_endpoint_state state{};
  sm_endpoint_stats stats{};
};

struct LiveCluster {
  sm_cluster_state state{};
  sm_cluster_stats stats{};
};

struct LiveState {
  std::uint64_t nowNs = 0;  // CLOCK_MONOTONIC when it was read; what *_ns fields compare with
  std::map<std::uint32_t, LiveEndpoint> endpoints;  // by id, of the image's endpoints
  std::map<std::uint32_t, LiveCluster> clusters;    // by id, of the image's clusters
  std::array<std::uint64_t, SM_COUNTERS> counters{};
  sm_selection_times selectionTimes{};  // of sampled selections
  std::vector<sm_client_line> clients;  // by place; see clientLines()
  std::vector<ClientRun> runs;          // of the image's endpoints
  std::vector<MapUsage> maps;           // in the order of kMapNames
  std::uint64_t staleFromNs = 0;        // see sm_globals
  std::vector<Unserved> unserved;

  // `image` says which ids are in use.
  static Result<LiveState> read(const KernelMaps& maps, const KernelImage& image,
                                const std::string& mapsDirectory);
};

// The id of the client at this place; 0 where nobody is.
inline std::uint64_t clientAt(const LiveState& live, std::uint32_t place) {
  return place < live.clients.size() ? live.clients[place].id : 0;
}

// One client has ejected an endpoint for itself until then.
inline bool isEjected(const sm_run& run, std::uint64_t nowNs) {
  return run.ejected_until_ns > nowNs;
}

// An endpoint is out of rotation until then, as the programs see it.
inline bool isEjected(const sm_endpoint_state& state, std::uint64_t nowNs) {
  return state.ejected_until_ns > nowNs;
}

UdpFlowStats udpFlowStats(const LiveState& live);
// Services are left alone, as the programs see it.
inline bool isStale(const LiveState& live) {
  return live.staleFromNs != 0 && live.staleFromNs <= live.nowNs;
}

// The same for the metrics room: names instead of numbers.
DatapathStats datapathStats(const KernelImage& image, const LiveState& live);

// Opens what is pinned under `bpffsRoot`, reads it and closes it. Endpoints that were never chosen
// and are not ejected are counted only, not listed: they count nothing. Any thread may call it:
// nothing is shared with the writer of the maps, so pages that were added meanwhile are seen.
Result<DatapathStats> readDatapathStats(const std::string& bpffsRoot);

}  // namespace sockmesh
