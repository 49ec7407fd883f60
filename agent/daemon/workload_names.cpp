// SPDX-License-Identifier: Apache-2.0
#include "daemon/workload_names.h"

namespace sockmesh {

Result<DatapathStats> withWorkloads(Result<DatapathStats> stats, const Snapshot* snapshot) {
  if (!stats || snapshot == nullptr || snapshot->workloads.empty()) return stats;
  for (EndpointStats& endpoint : stats->endpoints) {
    const auto address = SocketAddress::parse(endpoint.address);
    if (!address) continue;
    const auto found = snapshot->workloads.find(address->ip);
    if (found == snapshot->workloads.end()) continue;
    const Workload& workload = *found->second;
    endpoint.workload = EndpointWorkload{workload.name, workload.space, workload.node};
  }
  return stats;
}

}  // namespace sockmesh
