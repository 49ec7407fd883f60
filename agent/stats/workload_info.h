// SPDX-License-Identifier: Apache-2.0
// Which workload an endpoint is, as a metric that others are joined with.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "stats/datapath_stats.h"

namespace sockmesh {

// sockmesh_endpoint_info, of endpoints that are used and of which the workload is known.
prometheus::MetricFamily workloadInfo(const std::vector<EndpointStats>& endpoints);

}  // namespace sockmesh
