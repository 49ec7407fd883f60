// SPDX-License-Identifier: Apache-2.0
// Envoy's statistical detectors as arithmetic: finds the hosts of a cluster that stand out in one
// interval. Knows no time, no ejection and no limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "health/ejection_event.h"
#include "model/ejection.h"

namespace sockmesh {

struct OutlierDetection;

// The outcomes of one client's connects to a host in one interval. Hosts without any connect are
// ignored.
struct HostOutcomes {
  std::uint32_t successes = 0;
  std::uint32_t failures = 0;
};

struct StatisticalOutlier {
  std::size_t host = 0;  // index into the outcomes
  Detector detector = Detector::kSuccessRate;
  std::uint32_t enforcingPercent = 0;
  EjectionEvent::Rates rates;
};

// `outcomes` belong to the hosts that are not ejected; `hosts` counts all hosts. The result is in
// the order in which Envoy ejects: first by success rate, then by failure percentage. A host may
// appear twice.
std::vector<StatisticalOutlier> statisticalOutliers(const std::vector<HostOutcomes>& outcomes,
                                                    std::size_t hosts,
                                                    const OutlierDetection& settings);

}  // namespace sockmesh
