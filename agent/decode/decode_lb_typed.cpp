// SPDX-License-Identifier: Apache-2.0
// load_balancing_policy: policies as extensions, known by the type of their configuration.
#include "decode/decode_lb.h"
#include "envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb.h"

namespace sockmesh {

namespace policies = envoy::extensions::load_balancing_policies;

namespace {

using Any = google::protobuf::Any;

constexpr int kMaxNesting = 4;  // policies inside policies

// Decodes and returns the first policy of a supported type. Null and an error if there is none.
const Any* decodeChild(const envoy::config::cluster::v3::LoadBalancingPolicy& proto, int nesting,
                       LoadBalancing& lb, FieldErrors& errors);

void decodeLocalityConfig(const policies::common::v3::LocalityLbConfig& proto, LoadBalancing& lb,
                          FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "locality_lb_config");
  if (proto.has_locality_weighted_lb_config()) lb.localityMode = LocalityMode::kLocalityWeighted;
  if (!proto.has_zone_aware_lb_config()) return;
  const auto& zone = proto.zone_aware_lb_config();
  decodeZoneAware(zone, lb, errors);
  lb.zoneAware.forceLocalityDirectRouting = zone.force_locality_direct_routing();
  lb.zoneAware.basisIsWeight =
      zone.locality_basis() ==
      policies::common::v3::LocalityLbConfig::ZoneAwareLbConfig::HEALTHY_HOSTS_WEIGHT;
  if (zone.has_force_local_zone()) {
    const auto& force = zone.force_local_zone();
    lb.zoneAware.forceLocalZoneMinSize =
        wrapped(force.has_min_size(), force.min_size(), 1U, "force_local_zone.min_size", errors);
  }
}

void decodeHashPolicy(const envoy::config::route::v3::RouteAction::HashPolicy& proto,
                      LoadBalancing& lb, FieldErrors& errors) {
  using Policy = envoy::config::route::v3::RouteAction::HashPolicy;
  switch (proto.policy_specifier_case()) {
    case Policy::kConnectionProperties:
      lb.hashSourceIp = lb.hashSourceIp || proto.connection_properties().source_ip();
      return;
    case Policy::kHeader:
      checkNotEmpty(proto.header().header_name(), "header.header_name", errors);
      lb.hashNeedsLayerSeven.push_back({"header " + proto.header().header_name()});
      return;
    case Policy::kCookie:
      checkNotEmpty(proto.cookie().name(), "cookie.name", errors);
      lb.hashNeedsLayerSeven.push_back({"cookie " + proto.cookie().name()});
      return;
    case Policy::kQueryParameter:
      checkNotEmpty(proto.query_parameter().name(), "query_parameter.name", errors);
      lb.hashNeedsLayerSeven.push_back({"query parameter " + proto.query_parameter().name()});
      return;
    case Policy::kFilterState:
      checkNotEmpty(proto.filter_state().key(), "filter_state.key", errors);
      lb.hashNeedsLayerSeven.push_back({"filter state " + proto.filter_state().key()});
      return;
    case Policy::POLICY_SPECIFIER_NOT_SET:
      errors.add("names no property of a request, or one that is not supported");
  }
}

void decodeConsistentHashing(const policies::common::v3::ConsistentHashingLbConfig& proto,
                             LoadBalancing& lb, FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "consistent_hashing_lb_config");
  lb.useHostnameForHashing = proto.use_hostname_for_hashing();
  lb.hashBalanceFactor =
      wrapped(proto.has_hash_balance_factor(), proto.hash_balance_factor(), lb.hashBalanceFactor,
              "hash_balance_factor", errors, kHashBalanceBounds);
  lb.hashPolicyGiven = proto.hash_policy_size() > 0;
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    const FieldErrors::Scope policy(errors, "hash_policy", i);
    decodeHashPolicy(proto.hash_policy(i), lb, errors);
  }
}

void decodeRingHash(const policies::ring_hash::v3::RingHash& proto, LoadBalancing& lb,
                    FieldErrors& errors) {
  using Ring = policies::ring_hash::v3::RingHash;
  lb.policy = LbPolicy::kRingHash;
  checkEnum(Ring::HashFunction_IsValid(proto.hash_function()), proto.hash_function(),
            "hash_function", errors);
  lb.hashFunction = proto.hash_function() == Ring::MURMUR_HASH_2 ? HashFunction::kMurmurHash2
                                                                 : HashFunction::kXxHash;
  lb.minimumRingSize = wrapped(proto.has_minimum_ring_size(), proto.minimum_ring_size(),
                               lb.minimumRingSize, "minimum_ring_size", errors, kRingSizeBounds);
  lb.maximumRingSize = wrapped(proto.has_maximum_ring_size(), proto.maximum_ring_size(),
                               lb.maximumRingSize, "maximum_ring_size", errors, kRingSizeBounds);
  // The deprecated fields of RingHash itself count if the message that replaced them is absent.
  lb.useHostnameForHashing = proto.use_hostname_for_hashing();
  lb.hashBalanceFactor =
      wrapped(proto.has_hash_balance_factor(), proto.hash_balance_factor(), lb.hashBalanceFactor,
              "hash_balance_factor", errors, kHashBalanceBounds);
  if (proto.has_consistent_hashing_lb_config()) {
    lb.hashBalanceFactor = 0;
    decodeConsistentHashing(proto.consistent_hashing_lb_config(), lb, errors);
  }
  if (proto.has_locality_weighted_lb_config()) lb.localityMode = LocalityMode::kLocalityWeighted;
  checkRing(lb, errors);
}

void decodeMaglev(const policies::maglev::v3::Maglev& proto, LoadBalancing& lb,
                  FieldErrors& errors) {
  lb.policy = LbPolicy::kMaglev;
  lb.maglevTableSize = wrapped(proto.has_table_size(), proto.table_size(), lb.maglevTableSize,
                               "table_size", errors, kMaglevTableBounds);
  if (proto.has_consistent_hashing_lb_config()) {
    decodeConsistentHashing(proto.consistent_hashing_lb_config(), lb, errors);
  }
  if (proto.has_locality_weighted_lb_config()) lb.localityMode = LocalityMode::kLocalityWeighted;
  checkMaglev(lb, errors);
}

void decodeRoundRobin(const policies::round_robin::v3::RoundRobin& proto, LoadBalancing& lb,
                      FieldErrors& errors) {
  lb.policy = LbPolicy::kRoundRobin;
  if (proto.has_slow_start_config()) {
    lb.slowStart = decodeSlowStart(proto.slow_start_config(), errors);
  }
  decodeLocalityConfig(proto.locality_lb_config(), lb, errors);
}

void decodeLeastRequestPolicy(const policies::least_request::v3::LeastRequest& proto,
                              LoadBalancing& lb, FieldErrors& errors) {
  using LeastRequest = policies::least_request::v3::LeastRequest;
  lb.policy = LbPolicy::kLeastRequest;
  // Envoy does not apply the API's minimum of 2 to the typed policy. One choice is a random pick.
  decodeLeastRequest(proto, lb, {1, UINT32_MAX}, errors);
  checkEnum(LeastRequest::SelectionMethod_IsValid(proto.selection_method()),
            proto.selection_method(), "selection_method", errors);
  lb.fullScan = proto.selection_method() == LeastRequest::FULL_SCAN;
  decodeLocalityConfig(proto.locality_lb_config(), lb, errors);
}

void decodeRandom(const policies::random::v3::Random& proto, LoadBalancing& lb,
                  FieldErrors& errors) {
  lb.policy = LbPolicy::kRandom;
  decodeLocalityConfig(proto.locality_lb_config(), lb, errors);
}

void decodeSubsetPolicy(const policies::subset::v3::Subset& proto, int nesting, LoadBalancing& lb,
                        FieldErrors& errors) {
  {
    const FieldErrors::Scope scope(errors, "subset_lb_policy");
    decodeChild(proto.subset_lb_policy(), nesting + 1, lb, errors);
  }
  if (lb.subset) errors.add("subset_lb_policy", "subsets inside subsets are not supported");
  if (lb.policy == LbPolicy::kClusterProvided) {
    errors.add("subset_lb_policy", "subsets cannot be combined with cluster_provided");
  }
  lb.subset = decodeSubset(proto, lb, errors);
  lb.subset->allowRedundantKeys = proto.allow_redundant_keys();
}

void decodeWrrLocality(const policies::wrr_locality::v3::WrrLocality& proto, int nesting,
                       LoadBalancing& lb, FieldErrors& errors) {
  using ClientSide = policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin;
  const FieldErrors::Scope scope(errors, "endpoint_picking_policy");
  const Any* child = decodeChild(proto.endpoint_picking_policy(), nesting + 1, lb, errors);
  // As in Envoy. Other policies weigh localities by their own locality_lb_config.
  if (child != nullptr && !isType<ClientSide>(*child)) {
    errors.add("policies", "only client_side_weighted_round_robin is supported here, not " +
                               std::string(typeName(*child)));
  }
  lb.localityMode = LocalityMode::kLocalityWeighted;
}

template <typename Message, typename Decode>
bool tryDecode(const Any& any, FieldErrors& errors, const Decode& decode) {
  if (!isType<Message>(any)) return false;
  Message message;
  if (unpack(any, message, errors)) {
    const FieldErrors::Scope scope(errors, "typed_config");
    decode(message);
  }
  return true;
}

// False if the type of the policy is not supported.
bool decodeSupported(const Any& any, int nesting, LoadBalancing& lb, FieldErrors& errors) {
  const auto plain = [&](auto decoder) {
    return [&, decoder](const auto& message) { decoder(message, lb, errors); };
  };
  const auto nested = [&](auto decoder) {
    return [&, decoder](const auto& message) { decoder(message, nesting, lb, errors); };
  };
  const auto clientSide = [&](const auto&) {
    lb.policy = LbPolicy::kRoundRobin;
    lb.notHonoured.push_back(
        "client_side_weighted_round_robin: no load reports over TCP; the configured weights hold");
  };
  const auto provided = [&](const auto&) { lb.policy = LbPolicy::kClusterProvided; };
  return tryDecode<policies::round_robin::v3::RoundRobin>(any, errors, plain(decodeRoundRobin)) ||
         tryDecode<policies::least_request::v3::LeastRequest>(any, errors,
                                                              plain(decodeLeastRequestPolicy)) ||
         tryDecode<policies::random::v3::Random>(any, errors, plain(decodeRandom)) ||
         tryDecode<policies::ring_hash::v3::RingHash>(any, errors, plain(decodeRingHash)) ||
         tryDecode<policies::maglev::v3::Maglev>(any, errors, plain(decodeMaglev)) ||
         tryDecode<policies::cluster_provided::v3::ClusterProvided>(any, errors, provided) ||
         tryDecode<policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin>(
             any, errors, clientSide) ||
         tryDecode<policies::wrr_locality::v3::WrrLocality>(any, errors,
                                                            nested(decodeWrrLocality)) ||
         tryDecode<policies::subset::v3::Subset>(any, errors, nested(decodeSubsetPolicy));
}

const Any* decodeChild(const envoy::config::cluster::v3::LoadBalancingPolicy& proto, int nesting,
                       LoadBalancing& lb, FieldErrors& errors) {
  if (nesting > kMaxNesting) {
    errors.add("policies are nested too deeply");
    return nullptr;
  }
  std::string unsupported;
  for (int i = 0; i < proto.policies_size(); ++i) {
    const FieldErrors::Scope scope(errors, "policies", i);
    const FieldErrors::Scope extension(errors, "typed_extension_config");
    const auto& config = proto.policies(i).typed_extension_config();
    if (!config.has_typed_config()) {
      errors.add("typed_config", "is required");
      return nullptr;
    }
    if (decodeSupported(config.typed_config(), nesting, lb, errors)) {
      return &config.typed_config();
    }
    unsupported += (unsupported.empty() ? "" : ", ") + std::string(typeName(config.typed_config()));
  }
  errors.add("policies",
             unsupported.empty() ? "must not be empty" : "none is supported: " + unsupported);
  return nullptr;
}

}  // namespace

void decodeTypedPolicy(const envoy::config::cluster::v3::LoadBalancingPolicy& proto,
                       LoadBalancing& lb, FieldErrors& errors) {
  decodeChild(proto, 0, lb, errors);
}

}  // namespace sockmesh
