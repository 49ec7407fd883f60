// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode/decode.h"
#include "unit/decode/text_proto.h"

namespace sockmesh {
namespace {

using Proto = envoy::config::cluster::v3::Cluster;
using testing::HasSubstr;

const std::string kPackage = "type.googleapis.com/envoy.extensions.load_balancing_policies.";

struct Decoded {
  LoadBalancing lb;
  std::string error;
};

Decoded decode(const std::string& text) {
  FieldErrors errors;
  Decoded result;
  result.lb = decodeLoadBalancing(parseText<Proto>("name: 'c' " + text), errors);
  if (!errors.empty()) result.error = errors.error().message();
  return result;
}

LoadBalancing decoded(const std::string& text) {
  const Decoded result = decode(text);
  EXPECT_EQ(result.error, "") << text;
  return result.lb;
}

// `policies` of one typed policy; `type` is what follows the policies' package.
std::string policy(const std::string& type, const std::string& fields) {
  return "policies { typed_extension_config { name: 'p' typed_config { [" + kPackage + type +
         "] { " + fields + " } } } }";
}

std::string typed(const std::string& type, const std::string& fields) {
  return "load_balancing_policy { " + policy(type, fields) + " }";
}

const std::string kUnknownPolicy =
    "policies { typed_extension_config { name: 'u' typed_config { type_url: 'a/my.Policy' } } } ";

TEST(DecodeLoadBalancing, LegacyPolicies) {
  EXPECT_EQ(decoded("").policy, LbPolicy::kRoundRobin);
  EXPECT_EQ(decoded("lb_policy: LEAST_REQUEST").policy, LbPolicy::kLeastRequest);
  EXPECT_EQ(decoded("lb_policy: RING_HASH").policy, LbPolicy::kRingHash);
  EXPECT_EQ(decoded("lb_policy: RANDOM").policy, LbPolicy::kRandom);
  EXPECT_EQ(decoded("lb_policy: MAGLEV").policy, LbPolicy::kMaglev);
  EXPECT_EQ(decoded("lb_policy: CLUSTER_PROVIDED").policy, LbPolicy::kClusterProvided);
}

TEST(DecodeLoadBalancing, TypedPolicies) {
  EXPECT_EQ(decoded(typed("round_robin.v3.RoundRobin", "")).policy, LbPolicy::kRoundRobin);
  EXPECT_EQ(decoded(typed("least_request.v3.LeastRequest", "")).policy, LbPolicy::kLeastRequest);
  EXPECT_EQ(decoded(typed("ring_hash.v3.RingHash", "")).policy, LbPolicy::kRingHash);
  EXPECT_EQ(decoded(typed("random.v3.Random", "")).policy, LbPolicy::kRandom);
  EXPECT_EQ(decoded(typed("maglev.v3.Maglev", "")).policy, LbPolicy::kMaglev);
  EXPECT_EQ(decoded(typed("cluster_provided.v3.ClusterProvided", "")).policy,
            LbPolicy::kClusterProvided);
}

TEST(DecodeLoadBalancing, TheFirstSupportedTypedPolicyCountsAndSupersedesLbPolicy) {
  const LoadBalancing lb =
      decoded("lb_policy: MAGLEV load_balancing_policy { " + kUnknownPolicy +
              policy("random.v3.Random", "") + policy("maglev.v3.Maglev", "") + " }");
  EXPECT_EQ(lb.policy, LbPolicy::kRandom);
}

TEST(DecodeLoadBalancing, LegacyAndTypedTuningDecodeToTheSame) {
  const std::string slow =
      "slow_start_config { slow_start_window { seconds: 30 } aggression { default_value: 2 }"
      " min_weight_percent { value: 15 } } ";
  const std::string least =
      "choice_count { value: 3 } active_request_bias { default_value: 0.5 } " + slow;
  for (const LoadBalancing& lb :
       {decoded("lb_policy: LEAST_REQUEST least_request_lb_config { " + least + " }"),
        decoded(typed("least_request.v3.LeastRequest", least))}) {
    EXPECT_EQ(lb.choiceCount, 3U);
    EXPECT_EQ(lb.activeRequestBias, 0.5);
    EXPECT_EQ(lb.slowStart.window, std::chrono::seconds(30));
    EXPECT_EQ(lb.slowStart.aggression, 2);
    EXPECT_EQ(lb.slowStart.minWeightPercent, 15);
  }
  const std::string ring =
      "minimum_ring_size { value: 12 } maximum_ring_size { value: 99 }"
      " hash_function: MURMUR_HASH_2";
  for (const LoadBalancing& lb :
       {decoded("lb_policy: RING_HASH ring_hash_lb_config { " + ring + " }"),
        decoded(typed("ring_hash.v3.RingHash", ring))}) {
    EXPECT_EQ(lb.minimumRingSize, 12U);
    EXPECT_EQ(lb.maximumRingSize, 99U);
    EXPECT_EQ(lb.hashFunction, HashFunction::kMurmurHash2);
  }
  for (const LoadBalancing& lb :
       {decoded("lb_policy: MAGLEV maglev_lb_config { table_size { value: 7 } }"),
        decoded(typed("maglev.v3.Maglev", "table_size { value: 7 }"))}) {
    EXPECT_EQ(lb.maglevTableSize, 7U);
  }
}

TEST(DecodeLoadBalancing, TheTypedHashFunctionsNumbersAreOthers) {
  EXPECT_EQ(decoded(typed("ring_hash.v3.RingHash", "hash_function: XX_HASH")).hashFunction,
            HashFunction::kXxHash);  // 1, which is murmur in the legacy enum
}

TEST(DecodeLoadBalancing, IgnoresTheTuningOfAnotherPolicy) {
  const LoadBalancing lb = decoded(
      "lb_policy: LEAST_REQUEST ring_hash_lb_config { minimum_ring_size { value: 2000 }"
      " maximum_ring_size { value: 100 } }");
  EXPECT_EQ(lb.policy, LbPolicy::kLeastRequest);
  EXPECT_EQ(lb.minimumRingSize, 1024U);
}

TEST(DecodeLoadBalancing, LocalityModes) {
  EXPECT_EQ(decoded("common_lb_config { locality_weighted_lb_config {} }").localityMode,
            LocalityMode::kLocalityWeighted);
  const LoadBalancing zone = decoded(
      "common_lb_config { zone_aware_lb_config { min_cluster_size { value: 2 }"
      " routing_enabled { value: 30 } fail_traffic_on_panic: true } }");
  EXPECT_EQ(zone.localityMode, LocalityMode::kZoneAware);
  EXPECT_EQ(zone.zoneAware.minClusterSize, 2U);
  EXPECT_EQ(zone.zoneAware.routingEnabledPercent, 30);
  EXPECT_TRUE(zone.zoneAware.failTrafficOnPanic);
  EXPECT_EQ(
      decoded(typed("random.v3.Random", "locality_lb_config { locality_weighted_lb_config {} }"))
          .localityMode,
      LocalityMode::kLocalityWeighted);
  EXPECT_EQ(decoded(typed("maglev.v3.Maglev", "locality_weighted_lb_config {}")).localityMode,
            LocalityMode::kLocalityWeighted);
  const LoadBalancing forced =
      decoded(typed("round_robin.v3.RoundRobin",
                    "locality_lb_config { zone_aware_lb_config { force_local_zone {}"
                    " locality_basis: HEALTHY_HOSTS_WEIGHT } }"));
  EXPECT_EQ(forced.zoneAware.forceLocalZoneMinSize, 1U);
  EXPECT_TRUE(forced.zoneAware.basisIsWeight);
}

// The API's own limits, which Envoy does not apply to typed policies.
TEST(DecodeLoadBalancing, TypedPoliciesTakeWhatEnvoyTakes) {
  EXPECT_EQ(decoded(typed("ring_hash.v3.RingHash", "minimum_ring_size {}")).minimumRingSize, 0U);
  EXPECT_EQ(
      decoded(typed("least_request.v3.LeastRequest", "choice_count { value: 1 }")).choiceCount, 1U);
}

// Envoy 1.40 refuses the cluster with any other child, also where a policy that it knows follows.
TEST(DecodeLoadBalancing, WrrLocalityTakesTheChildThatEnvoyTakes) {
  const auto wrrLocality = [](const std::string& children) {
    return typed("wrr_locality.v3.WrrLocality", "endpoint_picking_policy { " + children + " }");
  };
  const std::string clientSide =
      policy("client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", "");
  const LoadBalancing lb = decoded(wrrLocality(kUnknownPolicy + clientSide));
  EXPECT_EQ(lb.policy, LbPolicy::kRoundRobin);
  EXPECT_EQ(lb.localityMode, LocalityMode::kLocalityWeighted);
  for (const std::string name :
       {"round_robin.v3.RoundRobin", "least_request.v3.LeastRequest", "random.v3.Random"}) {
    const std::string error = decode(wrrLocality(policy(name, "") + clientSide)).error;
    EXPECT_THAT(error, HasSubstr("endpoint_picking_policy.policies: only "
                                 "client_side_weighted_round_robin is supported here, not "
                                 "envoy.extensions.load_balancing_policies." +
                                 name));
  }
}

TEST(DecodeLoadBalancing, ClientSideWeightsAreListedAsNotHonoured) {
  const LoadBalancing lb =
      decoded(typed("client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", ""));
  EXPECT_EQ(lb.policy, LbPolicy::kRoundRobin);
  EXPECT_THAT(lb.notHonoured, testing::ElementsAre(HasSubstr("client_side_weighted_round_robin")));
}

TEST(DecodeLoadBalancing, ATypedHashPolicySaysWhatItNeeds) {
  const LoadBalancing lb =
      decoded(typed("maglev.v3.Maglev",
                    "consistent_hashing_lb_config { use_hostname_for_hashing: true"
                    " hash_balance_factor { value: 125 } hash_policy { header { header_name:"
                    " 'x-user' } } hash_policy { connection_properties { source_ip: true } } }"));
  EXPECT_TRUE(lb.useHostnameForHashing);
  EXPECT_EQ(lb.hashBalanceFactor, 125U);
  EXPECT_TRUE(lb.hashPolicyGiven);
  EXPECT_TRUE(lb.hashSourceIp);
  ASSERT_EQ(lb.hashNeedsLayerSeven.size(), 1U);
  EXPECT_EQ(lb.hashNeedsLayerSeven[0].what, "header x-user");
}

const std::string kSelector =
    "subset_selectors { keys: 'version' keys: 'stage' fallback_policy:"
    " KEYS_SUBSET fallback_keys_subset: 'stage' }";

TEST(DecodeLoadBalancing, LegacyAndTypedSubsets) {
  const std::string config =
      "fallback_policy: DEFAULT_SUBSET default_subset { fields { key: 'stage'"
      " value { string_value: 'prod' } } } panic_mode_any: true " +
      kSelector;
  const LoadBalancing typedLb =
      decoded(typed("subset.v3.Subset", config + " allow_redundant_keys: true subset_lb_policy { " +
                                            policy("random.v3.Random", "") + " }"));
  EXPECT_TRUE(typedLb.subset->allowRedundantKeys);
  for (const LoadBalancing& lb :
       {decoded("lb_policy: RANDOM lb_subset_config { " + config + " }"), typedLb}) {
    EXPECT_EQ(lb.policy, LbPolicy::kRandom);
    ASSERT_TRUE(lb.subset.has_value());
    EXPECT_EQ(lb.subset->fallback, SubsetConfig::Fallback::kDefaultSubset);
    EXPECT_EQ(lb.subset->defaultSubset.at("stage"), MetadataValue{std::string("prod")});
    EXPECT_TRUE(lb.subset->panicModeAny);
    const SubsetSelector& selector = lb.subset->selectors.at(0);
    EXPECT_THAT(selector.keys, testing::ElementsAre("stage", "version"));
    EXPECT_EQ(selector.fallback, SubsetSelector::Fallback::kKeysSubset);
    EXPECT_THAT(selector.fallbackKeys, testing::ElementsAre("stage"));
  }
}

TEST(DecodeLoadBalancing, LegacySubsetsAreOffWithoutASelector) {
  EXPECT_FALSE(decoded("lb_subset_config {}").subset.has_value());
}

TEST(DecodeLoadBalancing, ThePanicThresholdMayBeZero) {
  EXPECT_EQ(decoded("common_lb_config { healthy_panic_threshold {} }").healthyPanicThresholdPercent,
            0);
}

class RejectsLoadBalancing : public testing::TestWithParam<Case> {};

TEST_P(RejectsLoadBalancing, NamingTheField) {
  EXPECT_THAT(decode(GetParam().text).error, HasSubstr(GetParam().expected));
}

const std::string kRandom = typed("random.v3.Random", "");

INSTANTIATE_TEST_SUITE_P(
    DecodeLoadBalancing, RejectsLoadBalancing,
    testing::Values(
        Case{"NoneSupported", "load_balancing_policy { " + kUnknownPolicy + "}",
             "load_balancing_policy.policies: none is supported: my.Policy"},
        Case{"NoPolicies", "load_balancing_policy {}",
             "load_balancing_policy.policies: must not be empty"},
        Case{"PolicyConfigMissing", "lb_policy: LOAD_BALANCING_POLICY_CONFIG",
             "lb_policy: LOAD_BALANCING_POLICY_CONFIG needs"},
        Case{"TypedWithSubsets", kRandom + " lb_subset_config {}",
             "lb_subset_config: cannot be combined with load_balancing_policy"},
        Case{"TypedWithZones", kRandom + " common_lb_config { zone_aware_lb_config {} }",
             "common_lb_config.zone_aware_lb_config: cannot be combined"},
        Case{"TypedWithLocalities",
             kRandom + " common_lb_config { locality_weighted_lb_config {} }",
             "common_lb_config.locality_weighted_lb_config: cannot be combined"},
        Case{"TypedWithHashing", kRandom + " common_lb_config { consistent_hashing_lb_config {} }",
             "common_lb_config.consistent_hashing_lb_config: cannot be combined"},
        Case{"RingOrder",
             "lb_policy: RING_HASH ring_hash_lb_config { maximum_ring_size { value: 1000 } }",
             "ring_hash_lb_config.minimum_ring_size: 1024 is more than maximum_ring_size 1000"},
        Case{"RingTooLarge",
             "lb_policy: RING_HASH ring_hash_lb_config { maximum_ring_size { value: 8388609 } }",
             "ring_hash_lb_config.maximum_ring_size: 8388609 is more than 8388608"},
        Case{"RingTooLargeThoughUnused",
             "ring_hash_lb_config { maximum_ring_size { value: 8388609 } }",
             "ring_hash_lb_config.maximum_ring_size: 8388609 is more than 8388608"},
        Case{"MaglevTooLarge",
             "lb_policy: MAGLEV maglev_lb_config { table_size { value: 5000012 } }",
             "maglev_lb_config.table_size: 5000012 is more than 5000011"},
        Case{"Choice1",
             "lb_policy: LEAST_REQUEST least_request_lb_config { choice_count { value: 1 } }",
             "least_request_lb_config.choice_count: 1 is less than 2"},
        Case{"Bias",
             typed("least_request.v3.LeastRequest", "active_request_bias { default_value: -1 }"),
             "typed_config.active_request_bias.default_value: "},
        Case{"BalanceFactor",
             typed("maglev.v3.Maglev",
                   "consistent_hashing_lb_config { hash_balance_factor { value: 99 } }"),
             "consistent_hashing_lb_config.hash_balance_factor: 99 is less than 100"},
        Case{"Percent", "common_lb_config { healthy_panic_threshold { value: 101 } }",
             "common_lb_config.healthy_panic_threshold.value: is not a percentage"},
        Case{"HostnameWithEds",
             "type: EDS lb_policy: MAGLEV common_lb_config { consistent_hashing_lb_config {"
             " use_hostname_for_hashing: true } }",
             "consistent_hashing_lb_config.use_hostname_for_hashing: cannot be used in an EDS"},
        Case{"FallbackKeys",
             "lb_subset_config { subset_selectors { keys: 'a' fallback_policy: KEYS_SUBSET"
             " fallback_keys_subset: 'b' } }",
             "lb_subset_config.subset_selectors[0].fallback_keys_subset: must be a subset"},
        Case{"FallbackList", "lb_subset_config { metadata_fallback_policy: FALLBACK_LIST }",
             "lb_subset_config.metadata_fallback_policy: FALLBACK_LIST is not supported"},
        Case{"SubsetsOfProvided", "lb_policy: CLUSTER_PROVIDED lb_subset_config {}",
             "lb_subset_config: cannot be combined with CLUSTER_PROVIDED"}),
    [](const auto& param) { return param.param.what; });

}  // namespace
}  // namespace sockmesh
