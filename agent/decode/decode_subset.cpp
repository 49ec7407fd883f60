// SPDX-License-Identifier: Apache-2.0
// Subsets: docs/envoy.md 3.10. Legacy and typed messages have the same fields and numbers.
#include <algorithm>

#include "decode/decode_lb.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"

namespace sockmesh {

namespace {

template <typename Keys>
std::vector<std::string> sortedUnique(const Keys& keys) {
  std::vector<std::string> sorted(keys.begin(), keys.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

void checkFallbackKeys(const SubsetSelector& selector, FieldErrors& errors) {
  if (selector.fallback != SubsetSelector::Fallback::kKeysSubset) {
    if (!selector.fallbackKeys.empty()) {
      errors.add("fallback_keys_subset", "is only for fallback_policy KEYS_SUBSET");
    }
    return;
  }
  if (selector.fallbackKeys.empty()) {
    errors.add("fallback_keys_subset", "must not be empty with KEYS_SUBSET");
  } else if (!std::includes(selector.keys.begin(), selector.keys.end(),
                            selector.fallbackKeys.begin(), selector.fallbackKeys.end())) {
    errors.add("fallback_keys_subset", "must be a subset of keys");
  } else if (selector.fallbackKeys == selector.keys) {
    errors.add("fallback_keys_subset", "must not be equal to keys");
  }
}

template <typename Proto>
SubsetSelector decodeSelector(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  SubsetSelector selector;
  selector.keys = sortedUnique(proto.keys());
  selector.fallbackKeys = sortedUnique(proto.fallback_keys_subset());
  checkEnum(Proto::LbSubsetSelectorFallbackPolicy_IsValid(proto.fallback_policy()),
            proto.fallback_policy(), "fallback_policy", errors);
  // The numbers of the enum and of the model's are the same.
  selector.fallback = static_cast<SubsetSelector::Fallback>(proto.fallback_policy());
  checkFallbackKeys(selector, errors);
  if (proto.single_host_per_subset()) {
    if (selector.keys.size() != 1) {
      errors.add("single_host_per_subset", "needs exactly one key");
    }
    lb.notHonoured.push_back(
        "single_host_per_subset: hosts that share a value are balanced over, not reduced to one");
  }
  return selector;
}

}  // namespace

template <typename Proto>
SubsetConfig decodeSubset(const Proto& proto, LoadBalancing& lb, FieldErrors& errors) {
  static_assert(static_cast<int>(SubsetConfig::Fallback::kDefaultSubset) == Proto::DEFAULT_SUBSET);
  static_assert(static_cast<int>(SubsetSelector::Fallback::kKeysSubset) ==
                Proto::LbSubsetSelector::KEYS_SUBSET);
  SubsetConfig subset;
  checkEnum(Proto::LbSubsetFallbackPolicy_IsValid(proto.fallback_policy()), proto.fallback_policy(),
            "fallback_policy", errors);
  subset.fallback = static_cast<SubsetConfig::Fallback>(proto.fallback_policy());
  subset.defaultSubset = decodeStruct(proto.default_subset());
  subset.localityWeightAware = proto.locality_weight_aware();
  subset.scaleLocalityWeight = proto.scale_locality_weight();
  subset.panicModeAny = proto.panic_mode_any();
  subset.listAsAny = proto.list_as_any();
  if (proto.metadata_fallback_policy() != Proto::METADATA_NO_FALLBACK) {
    errors.add("metadata_fallback_policy", "FALLBACK_LIST is not supported");
  }
  for (int i = 0; i < proto.subset_selectors_size(); ++i) {
    const FieldErrors::Scope scope(errors, "subset_selectors", i);
    subset.selectors.push_back(decodeSelector(proto.subset_selectors(i), lb, errors));
  }
  return subset;
}

template SubsetConfig decodeSubset(const envoy::config::cluster::v3::Cluster::LbSubsetConfig&,
                                   LoadBalancing&, FieldErrors&);
template SubsetConfig decodeSubset(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset&, LoadBalancing&,
    FieldErrors&);

}  // namespace sockmesh
