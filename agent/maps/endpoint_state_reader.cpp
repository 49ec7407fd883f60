// SPDX-License-Identifier: Apache-2.0
#include "maps/endpoint_state_reader.h"

#include <atomic>
#include <chrono>

#include "maps/kernel_image.h"

namespace sockmesh {
namespace {

template <typename Word>
Word load(Word& word) {
  return std::atomic_ref<Word>(word).load(std::memory_order_acquire);
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
  static_assert(EndpointState::kClients == SM_OUTCOME_CLIENTS);
  for (std::size_t client = 0; client < out.outcomes.size(); ++client) {
    out.outcomes[client] = {load(state->outcomes[client].served),
                            load(state->outcomes[client].failed)};
    out.successes += out.outcomes[client].successes;
    out.failures += out.outcomes[client].failures;
  }
  return out;
}

std::uint32_t clientOfOutcomes(const KernelMaps& maps, std::uint32_t endpointId,
                               std::size_t index) {
  // A client that goes on is seen anew every minute (bpf/conn/client.h).
  constexpr Nanos kLately = std::chrono::seconds(150);
  const sm_endpoint_state* state = maps.endpointState.at(endpointId);
  if (state == nullptr) return SM_CLIENT_NONE;
  const std::uint64_t users = state->users | state->users_before;
  const Nanos now = SystemClock().monotonic();
  std::uint32_t found = SM_CLIENT_NONE;
  for (std::uint32_t place = 0; place < maps.clients.size(); ++place) {
    const sm_client_line& line = maps.clients[place];
    if (line.id == 0 || line.number % SM_OUTCOME_CLIENTS != index) continue;
    if ((users >> line.number & 1) == 0 || now - Nanos(line.used_ns) > kLately) continue;
    if (found != SM_CLIENT_NONE) return SM_CLIENT_NONE;
    found = place;
  }
  return found;
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
