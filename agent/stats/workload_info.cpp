// SPDX-License-Identifier: Apache-2.0
#include "stats/workload_info.h"

#include "stats/families.h"

namespace sockmesh {

prometheus::MetricFamily workloadInfo(const std::vector<EndpointStats>& endpoints) {
  Family info = gaugeFamily("sockmesh_endpoint_info",
                            "1 for each endpoint in use of which the workload is known.");
  for (const EndpointStats& endpoint : endpoints) {
    if (!endpoint.workload || endpoint.connections.selected == 0) continue;
    info.add({{"cluster", endpoint.cluster},
              {"endpoint", endpoint.address},
              {"workload", endpoint.workload->name},
              {"workload_namespace", endpoint.workload->space},
              {"node", endpoint.workload->node}},
             1);
  }
  return info.take();
}

}  // namespace sockmesh
