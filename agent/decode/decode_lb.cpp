// SPDX-License-Identifier: Apache-2.0
// lb_policy and its tuning: docs/envoy.md 3.1. The tuning of another policy is
// checked by its own rules and otherwise ignored.
#include "decode/decode_lb.h"

#include "decode/decode.h"

namespace sockmesh {

namespace {

using Proto = envoy::config::cluster::v3::Cluster;
constexpr std::string_view kNoTypedPolicy =
    "LOAD_BALANCING_POLICY_CONFIG needs a load_balancing_policy";

bool isPrime(std::uint64_t number) {
  if (number < 2) return false;
  for (std::uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return true;
}

LbPolicy decodePolicyEnum(const Proto& proto, FieldErrors& errors) {
  switch (proto.lb_policy()) {
    case Proto::ROUND_ROBIN:
      return LbPolicy::kRoundRobin;
    case Proto::LEAST_REQUEST:
      return LbPolicy::kLeastRequest;
    case Proto::RING_HASH:
      return LbPolicy::kRingHash;
    case Proto::RANDOM:
      return LbPolicy::kRandom;
    case Proto::MAGLEV:
      return LbPolicy::kMaglev;
    case Proto::CLUSTER_PROVIDED:
      return LbPolicy::kClusterProvided;
    case Proto::LOAD_BALANCING_POLICY_CONFIG:
      if (!proto.has_load_balancing_policy()) {
        errors.add("lb_policy", std::string(kNoTypedPolicy));
      }
      return LbPolicy::kRoundRobin;
    default:
      checkEnum(false, proto.lb_policy(), "lb_policy", errors);
      return LbPolicy::kRoundRobin;
  }
}

void decodeLegacyRing(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "ring_hash_lb_config");
  const auto& ring = proto.ring_hash_lb_config();
  lb.minimumRingSize = wrapped(ring.has_minimum_ring_size(), ring.minimum_ring_size(),
                               lb.minimumRingSize, "minimum_ring_size", errors, kRingSizeBounds);
  lb.maximumRingSize = wrapped(ring.has_maximum_ring_size(), ring.maximum_ring_size(),
                               lb.maximumRingSize, "maximum_ring_size", errors, kRingSizeBounds);
  checkEnum(Proto::RingHashLbConfig::HashFunction_IsValid(ring.hash_function()),
            ring.hash_function(), "hash_function", errors);
  lb.hashFunction = ring.hash_function() == Proto::RingHashLbConfig::MURMUR_HASH_2
                        ? HashFunction::kMurmurHash2
                        : HashFunction::kXxHash;
}

// Reads each tuning message, by its own rules.
LoadBalancing decodeTuning(const Proto& proto, FieldErrors& errors) {
  LoadBalancing lb;
  switch (proto.lb_config_case()) {
    case Proto::kRingHashLbConfig:
      decodeLegacyRing(proto, lb, errors);
      break;
    case Proto::kMaglevLbConfig: {
      const FieldErrors::Scope scope(errors, "maglev_lb_config");
      const auto& maglev = proto.maglev_lb_config();
      lb.maglevTableSize = wrapped(maglev.has_table_size(), maglev.table_size(), lb.maglevTableSize,
                                   "table_size", errors, kMaglevTableBounds);
      break;
    }
    case Proto::kLeastRequestLbConfig: {
      const FieldErrors::Scope scope(errors, "least_request_lb_config");
      decodeLeastRequest(proto.least_request_lb_config(), lb, kChoiceCountBounds, errors);
      break;
    }
    case Proto::kRoundRobinLbConfig: {
      const FieldErrors::Scope scope(errors, "round_robin_lb_config");
      if (proto.round_robin_lb_config().has_slow_start_config()) {
        lb.slowStart = decodeSlowStart(proto.round_robin_lb_config().slow_start_config(), errors);
      }
      break;
    }
    case Proto::kOriginalDstLbConfig: {
      const FieldErrors::Scope scope(errors, "original_dst_lb_config");
      const auto& original = proto.original_dst_lb_config();
      (void)wrapped(original.has_upstream_port_override(), original.upstream_port_override(), 0U,
                    "upstream_port_override", errors, {0, 65535});
      break;
    }
    case Proto::LB_CONFIG_NOT_SET:
      break;
  }
  return lb;
}

// Whether `policy` reads this tuning message.
bool tunes(Proto::LbConfigCase tuning, LbPolicy policy) {
  switch (policy) {
    case LbPolicy::kRingHash:
      return tuning == Proto::kRingHashLbConfig;
    case LbPolicy::kMaglev:
      return tuning == Proto::kMaglevLbConfig;
    case LbPolicy::kLeastRequest:
      return tuning == Proto::kLeastRequestLbConfig;
    case LbPolicy::kRoundRobin:
      return tuning == Proto::kRoundRobinLbConfig;
    case LbPolicy::kRandom:
    case LbPolicy::kClusterProvided:
      break;
  }
  return false;
}

void decodeConsistentHashing(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "common_lb_config.consistent_hashing_lb_config");
  const auto& hashing = proto.common_lb_config().consistent_hashing_lb_config();
  lb.useHostnameForHashing = hashing.use_hostname_for_hashing();
  lb.hashBalanceFactor =
      wrapped(hashing.has_hash_balance_factor(), hashing.hash_balance_factor(),
              lb.hashBalanceFactor, "hash_balance_factor", errors, kHashBalanceBounds);
  // As observed: with EDS, Envoy accepts only the typed policy's use_hostname_for_hashing.
  if (lb.useHostnameForHashing && proto.type() == Proto::EDS) {
    errors.add("use_hostname_for_hashing", "cannot be used in an EDS cluster");
  }
}

void decodeLegacy(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  const LbPolicy policy = decodePolicyEnum(proto, errors);
  const LoadBalancing tuning = decodeTuning(proto, errors);
  if (tunes(proto.lb_config_case(), policy)) lb = tuning;
  lb.policy = policy;
  decodeConsistentHashing(proto, lb, errors);
  const auto& common = proto.common_lb_config();
  if (common.has_zone_aware_lb_config()) {
    const FieldErrors::Scope scope(errors, "common_lb_config");
    decodeZoneAware(common.zone_aware_lb_config(), lb, errors);
  }
  if (common.has_locality_weighted_lb_config()) {
    lb.localityMode = LocalityMode::kLocalityWeighted;
  }
  if (proto.has_lb_subset_config()) {
    const FieldErrors::Scope scope(errors, "lb_subset_config");
    SubsetConfig subset = decodeSubset(proto.lb_subset_config(), lb, errors);
    if (policy == LbPolicy::kClusterProvided) {
      errors.add("cannot be combined with CLUSTER_PROVIDED");
    }
    // Envoy's legacy subsets are off without a selector.
    if (!subset.selectors.empty()) lb.subset = std::move(subset);
  }
  if (policy == LbPolicy::kRingHash) {
    const FieldErrors::Scope scope(errors, "ring_hash_lb_config");
    checkRing(lb, errors);
  }
  if (policy == LbPolicy::kMaglev) {
    const FieldErrors::Scope scope(errors, "maglev_lb_config");
    checkMaglev(lb, errors);
  }
}

// load_balancing_policy supersedes lb_policy. It cannot be combined with the fields that it
// replaces.
void decodeTyped(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  const auto& common = proto.common_lb_config();
  const auto refuse = [&](bool present, std::string_view field) {
    if (present) errors.add(field, "cannot be combined with load_balancing_policy");
  };
  refuse(proto.has_lb_subset_config(), "lb_subset_config");
  refuse(common.has_zone_aware_lb_config(), "common_lb_config.zone_aware_lb_config");
  refuse(common.has_locality_weighted_lb_config(), "common_lb_config.locality_weighted_lb_config");
  refuse(common.has_consistent_hashing_lb_config(),
         "common_lb_config.consistent_hashing_lb_config");
  (void)decodePolicyEnum(proto, errors);  // still has to be one of its values
  (void)decodeTuning(proto, errors);
  const FieldErrors::Scope scope(errors, "load_balancing_policy");
  decodeTypedPolicy(proto.load_balancing_policy(), lb, errors);
}

}  // namespace

void checkRing(const LoadBalancing& lb, FieldErrors& errors) {
  if (lb.minimumRingSize > lb.maximumRingSize) {
    errors.add("minimum_ring_size", std::to_string(lb.minimumRingSize) +
                                        " is more than maximum_ring_size " +
                                        std::to_string(lb.maximumRingSize));
  }
}

void checkMaglev(const LoadBalancing& lb, FieldErrors& errors) {
  if (lb.maglevTableSize <= kMaglevTableBounds.max && !isPrime(lb.maglevTableSize)) {
    errors.add("table_size", std::to_string(lb.maglevTableSize) + " is not a prime number");
  }
}

LoadBalancing decodeLoadBalancing(const Proto& proto, FieldErrors& errors) {
  LoadBalancing lb;
  if (proto.has_load_balancing_policy()) {
    decodeTyped(proto, lb, errors);
  } else {
    decodeLegacy(proto, lb, errors);
  }
  const auto& common = proto.common_lb_config();
  lb.healthyPanicThresholdPercent =
      percent(common.has_healthy_panic_threshold(), common.healthy_panic_threshold(),
              lb.healthyPanicThresholdPercent, "common_lb_config.healthy_panic_threshold", errors);
  (void)duration(common.has_update_merge_window(), common.update_merge_window(), Nanos(0),
                 DurationRule::kNotNegative, "common_lb_config.update_merge_window", errors);
  lb.ignoreNewHostsUntilFirstHc = common.ignore_new_hosts_until_first_hc();
  if (common.close_connections_on_host_set_change()) {
    lb.notHonoured.push_back(
        "common_lb_config.close_connections_on_host_set_change: established connections stay");
  }
  return lb;
}

}  // namespace sockmesh
