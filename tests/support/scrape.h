// SPDX-License-Identifier: Apache-2.0
// The datapath's part of /metrics, without an agent.
#pragma once

#include <string>

#include "maps/kernel_maps.h"

namespace sockmesh::test {

// Lets every endpoint look as if one connection had come to it. A scrape lists only such endpoints.
void useAllEndpoints(KernelMaps& maps);

// The metrics as text. They are read from the pins under `bpffs`, as the agent reads them. Any
// thread.
std::string scrape(const std::string& bpffs);

}  // namespace sockmesh::test
