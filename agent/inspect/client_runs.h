// SPDX-License-Identifier: Apache-2.0
// Clients as outlier detection tells them apart, and what each of them holds against endpoints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "maps/kernel_maps.h"
#include "sockmesh_abi.h"

namespace sockmesh {

// One client's run of failures at one endpoint, or its own ejection of it.
struct ClientRun {
  std::uint64_t client = 0;  // see SM_CLIENT_IS_POD
  std::uint32_t endpointId = 0;
  sm_run run{};
};

// Of all clients, in the order of the map. Runs of endpoints that are gone are left out.
std::vector<ClientRun> clientRuns(const KernelMaps& maps);

// By place in `clients`; a line whose id is 0 is free.
std::vector<sm_client_line> clientLines(const KernelMaps& maps);

}  // namespace sockmesh
