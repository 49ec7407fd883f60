// SPDX-License-Identifier: Apache-2.0
#include "maps/unswept.h"

#include <atomic>
#include <bit>

namespace sockmesh {
namespace {

constexpr std::uint32_t kWordBits = 64;

std::uint64_t bitOf(std::uint32_t clusterId) {
  return std::uint64_t{1} << (clusterId % kWordBits);
}

}  // namespace

bool isEndpointUnswept(const KernelMaps& maps, std::uint32_t endpointId) {
  sm_endpoint_state* state = maps.endpointState.at(endpointId);
  return state != nullptr && std::atomic_ref<__u16>(state->unswept).load() != 0;
}

bool isClusterUnswept(const KernelMaps& maps, std::uint32_t clusterId) {
  return (unsweptWord(maps, clusterId / kWordBits) & bitOf(clusterId)) != 0;
}

std::uint64_t unsweptWord(const KernelMaps& maps, std::uint32_t word) {
  return word < maps.unswept.size() ? std::atomic_ref<std::uint64_t>(maps.unswept[word]).load() : 0;
}

std::vector<std::uint32_t> unsweptClusters(const KernelMaps& maps) {
  std::vector<std::uint32_t> ids;
  for (std::uint32_t word = 0; word < maps.unswept.size(); ++word) {
    for (std::uint64_t bits = unsweptWord(maps, word); bits != 0; bits &= bits - 1) {
      ids.push_back(word * kWordBits + static_cast<std::uint32_t>(std::countr_zero(bits)));
    }
  }
  return ids;
}

void clearCluster(KernelMaps& maps, std::uint32_t clusterId) {
  if (!isClusterUnswept(maps, clusterId)) return;
  std::atomic_ref<std::uint64_t>(maps.unswept[clusterId / kWordBits]).fetch_and(~bitOf(clusterId));
}

bool takeEndpoint(KernelMaps& maps, std::uint32_t endpointId) {
  if (!isEndpointUnswept(maps, endpointId)) return false;
  const std::atomic_ref<__u16> mark(maps.endpointState.at(endpointId)->unswept);
  return mark.exchange(0) != 0;
}

}  // namespace sockmesh
