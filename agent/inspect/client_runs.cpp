// SPDX-License-Identifier: Apache-2.0
#include "inspect/client_runs.h"

namespace sockmesh {

std::vector<ClientRun> clientRuns(const KernelMaps& maps) {
  std::vector<ClientRun> out;
  for (std::uint32_t place = 0; place < maps.clients.size(); ++place) {
    const std::uint64_t client = maps.clients[place].id;
    if (client == 0 && place != SM_CLIENT_OTHERS) continue;
    for (std::uint32_t i = 0; i < SM_CLIENT_RUNS; ++i) {
      const sm_run run = maps.clientRuns[place * SM_CLIENT_RUNS + i];
      const auto endpointId = static_cast<std::uint32_t>(run.tag >> 32);
      if (endpointId == SM_NONE || (run.failures == 0 && run.ejections == 0)) continue;
      const sm_endpoint_state* state = maps.endpointState.at(endpointId);
      if (state == nullptr || sm_run_tag(endpointId, state->born, client) != run.tag) continue;
      out.push_back({client, endpointId, run});
    }
  }
  return out;
}

std::vector<sm_client_line> clientLines(const KernelMaps& maps) {
  std::vector<sm_client_line> lines(maps.clients.size());
  for (std::uint32_t place = 0; place < lines.size(); ++place) lines[place] = maps.clients[place];
  return lines;
}

}  // namespace sockmesh
