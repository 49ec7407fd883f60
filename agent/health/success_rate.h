// Envoy's statistical detectors as arithmetic: which hosts of a cluster stand out in one interval.
// Knows no time, no ejection and no limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "health/ejection_event.h"
#include "model/ejection.h"

namespace sockmesh {

struct OutlierDetection;

// Of one interval: what a host's connects came to. Hosts without any are ignored.
struct HostOutcomes {
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
};

struct StatisticalOutlier {
  std::size_t host = 0;  // index into the outcomes
  Detector detector = Detector::kSuccessRate;
  std::uint32_t enforcingPercent = 0;
  EjectionEvent::Rates rates;
};

// `outcomes` are those of the hosts that are not ejected; `hosts` counts all. In the order in which
// Envoy ejects: all by success rate, then all by failure percentage, so a host may be there twice.
std::vector<StatisticalOutlier> statisticalOutliers(const std::vector<HostOutcomes>& outcomes,
                                                    std::size_t hosts,
                                                    const OutlierDetection& settings);

}  // namespace sockmesh
