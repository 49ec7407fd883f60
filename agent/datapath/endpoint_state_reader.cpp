// SPDX-License-Identifier: Apache-2.0
#include "datapath/endpoint_state_reader.h"

#include <atomic>

#include "datapath/kernel_image.h"

namespace sockmesh {
namespace {

template <typename Word>
Word load(Word& word) {
  return std::atomic_ref<Word>(word).load(std::memory_order_acquire);
}

std::uint64_t speakingFailures(const sm_endpoint_stats& stats) {
  std::uint64_t failures = 0;
  for (std::uint32_t i = 0; i < SM_FAILURES; ++i) {
    // As in bpf/conn/outcome.h: the others are not the endpoint's fault.
    if (i != SM_FAILURE_LOCAL && i != SM_FAILURE_ABANDONED) failures += stats.failed[i];
  }
  // Counters move while they are read.
  return failures - std::min<std::uint64_t>(failures, stats.disputed);
}

}  // namespace

std::optional<EndpointState> readEndpointState(const KernelMaps& maps, std::uint32_t endpointId) {
  sm_endpoint_state* state = maps.endpointState.at(endpointId);
  if (state == nullptr) return std::nullopt;
  EndpointState out;
  const __u64 until = load(state->ejected_until_ns);
  out.ejected = until != 0;
  out.ejectedUntil = Nanos(until);
  out.ejectedAt = Nanos(load(state->ejected_at_ns));
  out.unejectedAt = Nanos(load(state->unejected_at_ns));
  out.ejections = load(state->ejections);
  out.multiplier = load(state->multiplier);
  out.detector = static_cast<Detector>(load(state->detector));
  const sm_endpoint_stats stats = sumEndpointStats(maps, endpointId);
  // What stays within a client's namespace is no evidence. Counters move while they are read.
  const std::uint64_t inward = load(state->inward_served);
  out.successes = stats.established - std::min<std::uint64_t>(stats.established, inward);
  out.failures = speakingFailures(stats);
  return out;
}

void writeMultiplier(KernelMaps& maps, std::uint32_t endpointId, std::uint32_t multiplier) {
  sm_endpoint_state* state = maps.endpointState.at(endpointId);
  if (state == nullptr) return;
  std::atomic_ref<__u32>(state->multiplier).store(multiplier, std::memory_order_release);
}

HealthOverlay readEjections(const KernelMaps& maps, const KernelImage& image) {
  HealthOverlay overlay;
  for (const auto& [id, endpoint] : image.endpoints) {
    const auto out = readEndpointState(maps, id);
    if (!out || !out->ejected) continue;
    overlay.byCluster[endpoint.cluster][endpoint.endpoint.address] = {true};
  }
  return overlay;
}

}  // namespace sockmesh
