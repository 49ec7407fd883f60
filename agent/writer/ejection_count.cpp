// SPDX-License-Identifier: Apache-2.0
#include "writer/ejection_count.h"

#include <algorithm>
#include <atomic>

namespace sockmesh {
namespace {

std::uint32_t countedIn(sm_cluster_state& state) {
  return std::atomic_ref<__u32>(state.ejected).load(std::memory_order_seq_cst);
}

}  // namespace

bool countsEjected(const KernelMaps& maps, std::uint32_t clusterId) {
  sm_cluster_state* cluster = maps.clusterState.at(clusterId);
  return cluster != nullptr && countedIn(*cluster) != 0;
}

std::int32_t ejectionSurplus(const KernelMaps& maps, std::uint32_t clusterId,
                             const std::vector<std::uint32_t>& endpoints, Breather& breathe) {
  sm_cluster_state* cluster = maps.clusterState.at(clusterId);
  if (cluster == nullptr) return 0;
  const std::uint32_t before = countedIn(*cluster);
  std::uint32_t ejected = 0;
  for (const std::uint32_t id : endpoints) {
    sm_endpoint_state* state = maps.endpointState.at(id);
    if (state == nullptr) continue;
    const std::atomic_ref<__u64> until(state->ejected_until_ns);
    ejected += until.load(std::memory_order_seq_cst) != 0 ? 1 : 0;
    if (breathe() && countedIn(*cluster) != before) return 0;
  }
  if (countedIn(*cluster) != before) return 0;
  return static_cast<std::int32_t>(before - ejected);
}

std::int32_t correctEjections(KernelMaps& maps, std::uint32_t clusterId,
                              const std::vector<std::uint32_t>& endpoints, std::int32_t surplus,
                              Breather& breathe) {
  const std::int32_t again = ejectionSurplus(maps, clusterId, endpoints, breathe);
  std::int32_t lost = 0;
  if (surplus > 0 && again > 0) lost = std::min(surplus, again);
  if (surplus < 0 && again < 0) lost = std::max(surplus, again);
  sm_cluster_state* cluster = maps.clusterState.at(clusterId);
  if (lost == 0 || cluster == nullptr) return 0;
  // Subtracts the difference, so that what the programs add meanwhile stays.
  std::atomic_ref<__u32>(cluster->ejected).fetch_sub(static_cast<__u32>(lost));
  return lost;
}

std::map<std::string, std::int32_t> recountEjections(KernelMaps& maps, const IdRegistry& ids,
                                                     BlockingGracePeriod& wait) {
  std::map<std::string, std::int32_t> surplus, corrected;
  Breather never;
  for (const std::string& name : ids.clusters()) {
    const auto found = ejectionSurplus(maps, ids.clusterId(name), ids.endpointsOf(name), never);
    if (found != 0) surplus[name] = found;
  }
  if (surplus.empty()) return corrected;
  wait.after([] {});
  for (const auto& [name, first] : surplus) {
    const auto lost =
        correctEjections(maps, ids.clusterId(name), ids.endpointsOf(name), first, never);
    if (lost != 0) corrected[name] = lost;
  }
  return corrected;
}

}  // namespace sockmesh
