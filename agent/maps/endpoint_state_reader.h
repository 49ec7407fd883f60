// SPDX-License-Identifier: Apache-2.0
// Reads the endpoint states that the programs keep for outlier detection, and writes the words that
// the agent owns. Control thread.
#pragma once

#include <cstdint>
#include <optional>

#include "maps/kernel_maps.h"
#include "model/endpoint_state.h"
#include "model/health_overlay.h"

namespace sockmesh {

struct KernelImage;

// Nothing if the id has no page.
std::optional<EndpointState> readEndpointState(const KernelMaps& maps, std::uint32_t endpointId);
// The client, by its place in `clients`, that alone has made the outcomes at this index lately;
// SM_CLIENT_NONE where several have, or nobody.
std::uint32_t clientOfOutcomes(const KernelMaps& maps, std::uint32_t endpointId, std::size_t index);
void writeMultiplier(KernelMaps& maps, std::uint32_t endpointId, std::uint32_t multiplier);

// What is ejected in the maps that an earlier agent left.
HealthOverlay readEjections(const KernelMaps& maps, const KernelImage& image);

}  // namespace sockmesh
