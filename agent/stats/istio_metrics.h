// SPDX-License-Identifier: Apache-2.0
// Istio's standard metrics for TCP, as a client's proxy reports them: for dashboards and alerts
// that exist. What the datapath does not know has no label: workloads, principals, versions.
#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

#include "stats/datapath_stats.h"

namespace sockmesh {

// What a cluster's name says of its service. istiod's names are "outbound|PORT|SUBSET|HOST".
struct IstioDestination {
  std::string service;           // host, "reviews.default.svc.cluster.local"; else "unknown"
  std::string serviceName;       // "reviews"; the host outside of Kubernetes; else the cluster
  std::string serviceNamespace;  // "default"; else "unknown"
  auto operator<=>(const IstioDestination&) const = default;
};
IstioDestination istioDestination(const std::string& cluster);

// `totals` are by cluster. Clusters of one service (ports, subsets) are one series. In Istio's
// words "sent" is what the client gets, and "received" is what it sends.
std::vector<prometheus::MetricFamily> istioFamilies(
    const std::map<std::string, ConnectionStats>& totals);

}  // namespace sockmesh
