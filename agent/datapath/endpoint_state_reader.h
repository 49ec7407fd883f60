// The lines that the programs keep for outlier detection, read and (where the agent owns a word)
// written. Control thread.
#pragma once

#include <cstdint>
#include <optional>

#include "datapath/kernel_maps.h"
#include "model/endpoint_state.h"
#include "model/health_overlay.h"

namespace sockmesh {

struct KernelImage;

// Nothing where the id has no page.
std::optional<EndpointState> readEndpointState(const KernelMaps& maps, std::uint32_t endpointId);
void writeMultiplier(KernelMaps& maps, std::uint32_t endpointId, std::uint32_t multiplier);

// What is ejected in a kernel that an earlier agent left.
HealthOverlay readEjections(const KernelMaps& maps, const KernelImage& image);

}  // namespace sockmesh
