// SPDX-License-Identifier: Apache-2.0
// The datapath's counters as metrics.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <mutex>

#include "base/result.h"
#include "stats/cluster_totals.h"
#include "stats/datapath_stats.h"
#include "stats/verdict_counts.h"

namespace sockmesh {

struct DatapathMetricsOptions {
  // Label connection counters with `endpoint`. A series begins with the first connection to its
  // endpoint and ends with the endpoint, so there are as many as endpoints are used. Without the
  // label, counters are by cluster and outlive endpoints (see cluster_totals.h).
  bool endpointLabel = false;
  // Istio's names as well (see istio_metrics.h).
  bool istioNames = false;
  // sockmesh_endpoint_info, where the source names workloads.
  bool workloads = false;
};

class DatapathCollector final : public prometheus::Collectable {
 public:
  using Source = std::function<Result<DatapathStats>()>;

  // `source` is called at each collection, on the collecting thread.
  DatapathCollector(Source source, DatapathMetricsOptions options);

  // Any thread. If the reading fails: sockmesh_datapath_readable 0 and nothing else.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Source source_;
  DatapathMetricsOptions options_;
  mutable std::mutex mutex_;  // guards what follows
  mutable ClusterTotals totals_;
  mutable VerdictCounts verdicts_;
  mutable std::uint64_t evictedFlows_ = 0;
};

}  // namespace sockmesh
