// SPDX-License-Identifier: Apache-2.0
// outlier_detection: docs/envoy.md 1.1.
#include <algorithm>

#include "decode/decode_common.h"

namespace sockmesh {

namespace {

constexpr Nanos kDefaultMaxEjectionTime = std::chrono::seconds(300);
constexpr Bounds kPercentage{0, 100};

using Proto = envoy::config::cluster::v3::OutlierDetection;

void decodeTimes(const Proto& proto, OutlierDetection& out, FieldErrors& errors) {
  out.interval = duration(proto.has_interval(), proto.interval(), out.interval,
                          DurationRule::kPositive, "interval", errors);
  out.baseEjectionTime =
      duration(proto.has_base_ejection_time(), proto.base_ejection_time(), out.baseEjectionTime,
               DurationRule::kPositive, "base_ejection_time", errors);
  out.maxEjectionTime = duration(proto.has_max_ejection_time(), proto.max_ejection_time(),
                                 std::max(kDefaultMaxEjectionTime, out.baseEjectionTime),
                                 DurationRule::kPositive, "max_ejection_time", errors);
  out.maxEjectionTimeJitter = duration(
      proto.has_max_ejection_time_jitter(), proto.max_ejection_time_jitter(),
      out.maxEjectionTimeJitter, DurationRule::kNotNegative, "max_ejection_time_jitter", errors);
  if (out.maxEjectionTime < out.baseEjectionTime) {
    errors.add("max_ejection_time", "is less than base_ejection_time");
  }
}

}  // namespace

OutlierDetection decodeOutlierDetection(const Proto& proto, FieldErrors& errors) {
  OutlierDetection out;
  decodeTimes(proto, out, errors);
#define SOCKMESH_NUMBER(field, member, bounds) \
  out.member = wrapped(proto.has_##field(), proto.field(), out.member, #field, errors, bounds)
  SOCKMESH_NUMBER(consecutive_5xx, consecutive5xx, {});
  SOCKMESH_NUMBER(max_ejection_percent, maxEjectionPercent, kPercentage);
  SOCKMESH_NUMBER(enforcing_consecutive_5xx, enforcingConsecutive5xx, kPercentage);
  SOCKMESH_NUMBER(enforcing_success_rate, enforcingSuccessRate, kPercentage);
  SOCKMESH_NUMBER(success_rate_minimum_hosts, successRateMinimumHosts, {});
  SOCKMESH_NUMBER(success_rate_request_volume, successRateRequestVolume, {});
  SOCKMESH_NUMBER(success_rate_stdev_factor, successRateStdevFactor, {});
  SOCKMESH_NUMBER(consecutive_gateway_failure, consecutiveGatewayFailure, {});
  SOCKMESH_NUMBER(enforcing_consecutive_gateway_failure, enforcingConsecutiveGatewayFailure,
                  kPercentage);
  SOCKMESH_NUMBER(consecutive_local_origin_failure, consecutiveLocalOriginFailure, {});
  SOCKMESH_NUMBER(enforcing_consecutive_local_origin_failure,
                  enforcingConsecutiveLocalOriginFailure, kPercentage);
  SOCKMESH_NUMBER(enforcing_local_origin_success_rate, enforcingLocalOriginSuccessRate,
                  kPercentage);
  SOCKMESH_NUMBER(failure_percentage_threshold, failurePercentageThreshold, kPercentage);
  SOCKMESH_NUMBER(enforcing_failure_percentage, enforcingFailurePercentage, kPercentage);
  SOCKMESH_NUMBER(enforcing_failure_percentage_local_origin, enforcingFailurePercentageLocalOrigin,
                  kPercentage);
  SOCKMESH_NUMBER(failure_percentage_minimum_hosts, failurePercentageMinimumHosts, {});
  SOCKMESH_NUMBER(failure_percentage_request_volume, failurePercentageRequestVolume, {});
#undef SOCKMESH_NUMBER
  out.splitExternalLocalOriginErrors = proto.split_external_local_origin_errors();
  if (proto.has_always_eject_one_host()) {
    out.alwaysEjectOneHost = proto.always_eject_one_host().value();
  }
  if (proto.has_successful_active_health_check_uneject_host()) {
    out.successfulActiveHealthCheckUnejectHost =
        proto.successful_active_health_check_uneject_host().value();
  }
  return out;
}

}  // namespace sockmesh
