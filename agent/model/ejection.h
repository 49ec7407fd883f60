// SPDX-License-Identifier: Apache-2.0
// The vocabulary of outlier detection that several rooms share.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sockmesh {

// envoy.data.cluster.v3.OutlierEjectionType, number for number.
enum class Detector : std::uint8_t {
  kConsecutive5xx = 0,
  kConsecutiveGatewayFailure = 1,
  kSuccessRate = 2,
  kConsecutiveLocalOriginFailure = 3,
  kSuccessRateLocalOrigin = 4,
  kFailurePercentage = 5,
  kFailurePercentageLocalOrigin = 6,
};
constexpr std::size_t kDetectors = 7;

// As in Envoy's statistics: "ejections_enforced_" and this.
constexpr std::array<std::string_view, kDetectors> kDetectorNames = {
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "success_rate",
    "consecutive_local_origin_failure",
    "local_origin_success_rate",
    "failure_percentage",
    "local_origin_failure_percentage"};

constexpr std::string_view detectorName(Detector detector) {
  return kDetectorNames[static_cast<std::size_t>(detector)];
}

// What became of a detection.
enum class Detection : std::uint8_t {
  kNone,         // ejected already, or not there any more
  kEjected,      //
  kOverflow,     // max_ejection_percent was reached
  kNotEnforced,  // the dice (enforcing_...) said no
  kOwn,          // ejected for the client alone that met the failures
};

}  // namespace sockmesh
