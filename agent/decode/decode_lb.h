// SPDX-License-Identifier: Apache-2.0
// The parts of LoadBalancing that legacy and typed configuration have in common. Legacy and typed
// messages differ in package only, so most of these are templates over both.
#pragma once

#include <cmath>
#include <string>

#include "decode/decode_common.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "model/cluster.h"

namespace sockmesh {

inline constexpr Bounds kRingSizeBounds{0, 8'388'608};
inline constexpr Bounds kMaglevTableBounds{0, 5'000'011};
inline constexpr Bounds kChoiceCountBounds{2, UINT32_MAX};
inline constexpr Bounds kHashBalanceBounds{100, UINT32_MAX};

// load_balancing_policy: the first policy whose type is supported.
void decodeTypedPolicy(const envoy::config::cluster::v3::LoadBalancingPolicy& proto,
                       LoadBalancing& lb, FieldErrors& errors);

// minimum_ring_size must not exceed maximum_ring_size; checked for a ring that is built.
void checkRing(const LoadBalancing& lb, FieldErrors& errors);
// The table's size must be a prime number; checked for a table that is built.
void checkMaglev(const LoadBalancing& lb, FieldErrors& errors);

// A subset's fallback and selectors; Proto is Cluster.LbSubsetConfig or the typed Subset.
template <typename Proto>
SubsetConfig decodeSubset(const Proto& proto, LoadBalancing& lb, FieldErrors& errors);

template <typename Proto>
SlowStart decodeSlowStart(const Proto& proto, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "slow_start_config");
  SlowStart slow;
  slow.window = duration(proto.has_slow_start_window(), proto.slow_start_window(), slow.window,
                         DurationRule::kNotNegative, "slow_start_window", errors);
  if (proto.has_aggression()) slow.aggression = proto.aggression().default_value();
  if (!(slow.aggression > 0)) slow.aggression = 1.0;  // Envoy's meaning of 0, negative and NaN
  slow.minWeightPercent = percent(proto.has_min_weight_percent(), proto.min_weight_percent(),
                                  slow.minWeightPercent, "min_weight_percent", errors);
  return slow;
}

template <typename Proto>
void decodeLeastRequest(const Proto& proto, LoadBalancing& lb, Bounds choiceCount,
                        FieldErrors& errors) {
  lb.choiceCount = wrapped(proto.has_choice_count(), proto.choice_count(), lb.choiceCount,
                           "choice_count", errors, choiceCount);
  if (proto.has_active_request_bias()) {
    lb.activeRequestBias = proto.active_request_bias().default_value();
    if (!(lb.activeRequestBias >= 0) || std::isinf(lb.activeRequestBias)) {
      errors.add("active_request_bias.default_value", "must be a number of at least 0");
    }
  }
  if (proto.has_slow_start_config()) {
    lb.slowStart = decodeSlowStart(proto.slow_start_config(), errors);
  }
}

template <typename Proto>
void decodeZoneAware(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "zone_aware_lb_config");
  ZoneAware& zone = lb.zoneAware;
  lb.localityMode = LocalityMode::kZoneAware;
  zone.routingEnabledPercent = percent(proto.has_routing_enabled(), proto.routing_enabled(),
                                       zone.routingEnabledPercent, "routing_enabled", errors);
  zone.minClusterSize = wrapped(proto.has_min_cluster_size(), proto.min_cluster_size(),
                                zone.minClusterSize, "min_cluster_size", errors);
  zone.failTrafficOnPanic = proto.fail_traffic_on_panic();
}

}  // namespace sockmesh
