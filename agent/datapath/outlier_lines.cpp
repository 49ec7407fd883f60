#include "datapath/outlier_lines.h"

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

std::optional<EndpointLine> readEndpointLine(const KernelMaps& maps, std::uint32_t endpointId) {
  sm_endpoint_state* state = maps.endpointState.at(endpointId);
  if (state == nullptr) return std::nullopt;
  EndpointLine line;
  const __u64 until = load(state->ejected_until_ns);
  line.ejected = until != 0;
  line.ejectedUntil = Nanos(until);
  line.ejectedAt = Nanos(load(state->ejected_at_ns));
  line.returnedAt = Nanos(load(state->unejected_at_ns));
  line.ejections = load(state->ejections);
  line.multiplier = load(state->multiplier);
  line.detector = static_cast<Detector>(load(state->detector));
  const sm_endpoint_stats stats = sumEndpointStats(maps, endpointId);
  line.successes = stats.established;
  line.failures = speakingFailures(stats);
  return line;
}

void writeMultiplier(KernelMaps& maps, std::uint32_t endpointId, std::uint32_t multiplier) {
  sm_endpoint_state* state = maps.endpointState.at(endpointId);
  if (state == nullptr) return;
  std::atomic_ref<__u32>(state->multiplier).store(multiplier, std::memory_order_release);
}

HealthOverlay readOverlay(const KernelMaps& maps, const KernelImage& image) {
  HealthOverlay overlay;
  for (const auto& [id, endpoint] : image.endpoints) {
    const auto line = readEndpointLine(maps, id);
    if (!line || !line->ejected) continue;
    overlay.byCluster[endpoint.cluster][endpoint.endpoint.address] = {true, line->ejectedUntil};
  }
  return overlay;
}

}  // namespace sockmesh
