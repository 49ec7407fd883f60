// SPDX-License-Identifier: Apache-2.0
#include "lb/subset.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sockmesh {
namespace {

using Keys = std::vector<std::string>;

bool valueMatches(const MetadataValue& host, const MetadataValue& wanted, bool listAsAny) {
  if (host == wanted) return true;
  const auto* list = std::get_if<MetadataValue::List>(&host.value);
  return listAsAny && list != nullptr &&
         std::find(list->begin(), list->end(), wanted) != list->end();
}

bool hostMatches(const Endpoint& endpoint, const MetadataStruct& wanted, bool listAsAny) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    const auto found = endpoint.lbMetadata->find(pair.first);
    return found != endpoint.lbMetadata->end() &&
           valueMatches(found->second, pair.second, listAsAny);
  });
}

bool anyHostMatches(const LoadAssignment& assignment, const MetadataStruct& wanted,
                    bool listAsAny) {
  for (const LocalityEndpoints& locality : assignment.localities) {
    for (const Endpoint& endpoint : locality.endpoints) {
      if (hostMatches(endpoint, wanted, listAsAny)) return true;
    }
  }
  return false;
}

MetadataStruct only(const MetadataStruct& criteria, const Keys& keys) {
  MetadataStruct kept;
  for (const std::string& key : keys) {
    const auto found = criteria.find(key);
    if (found != criteria.end()) kept.insert(*found);
  }
  return kept;
}

bool sameKeys(const MetadataStruct& criteria, const Keys& keys) {
  return std::equal(criteria.begin(), criteria.end(), keys.begin(), keys.end(),
                    [](const auto& pair, const std::string& key) { return pair.first == key; });
}

// The selector with exactly the keys of the criteria. If redundant keys are allowed: the first
// selector among those with the most keys that the criteria all have. Null: none.
const SubsetSelector* selectorOf(const SubsetConfig& config, const MetadataStruct& criteria) {
  const SubsetSelector* found = nullptr;
  for (const SubsetSelector& selector : config.selectors) {
    if (selector.keys.empty()) continue;
    const bool redundant =
        config.allowRedundantKeys && only(criteria, selector.keys).size() == selector.keys.size();
    if (!redundant && !sameKeys(criteria, selector.keys)) continue;
    if (found == nullptr || selector.keys.size() > found->keys.size()) found = &selector;
  }
  return found;
}

bool beginsWith(const Keys& keys, const Keys& prefix) {
  return keys.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), keys.begin());
}

// Envoy keeps the selectors in a tree of their sorted keys, and notes a fallback only if its
// selector adds the last key to the tree. So of two selectors with the same keys the first one
// counts, and a selector that is listed after a longer one that begins with its keys has no
// fallback of its own.
SubsetSelector::Fallback fallbackOf(const SubsetConfig& config, const SubsetSelector& selector) {
  const auto first =
      std::find_if(config.selectors.begin(), config.selectors.end(),
                   [&](const auto& one) { return beginsWith(one.keys, selector.keys); });
  return first->keys == selector.keys ? first->fallback : SubsetSelector::Fallback::kNotDefined;
}

class Chooser {
 public:
  Chooser(const SubsetConfig& config, const LoadAssignment& assignment)
      : config_(config), assignment_(assignment) {}

  SubsetChoice choose(const MetadataStruct& criteria) const {
    const SubsetSelector* selector = selectorOf(config_, criteria);
    if (selector == nullptr) return clusterFallback();
    const MetadataStruct wanted = only(criteria, selector->keys);
    if (anyHostMatches(assignment_, wanted, config_.listAsAny)) return matching(wanted);
    return selectorFallback(*selector, criteria);
  }

 private:
  SubsetChoice matching(const MetadataStruct& wanted) const {
    const bool listAsAny = config_.listAsAny;
    return {[wanted, listAsAny](const Endpoint& endpoint) {
      return hostMatches(endpoint, wanted, listAsAny);
    }};
  }

  SubsetChoice selectorFallback(const SubsetSelector& selector,
                                const MetadataStruct& criteria) const {
    using Fallback = SubsetSelector::Fallback;
    switch (fallbackOf(config_, selector)) {
      case Fallback::kNoFallback:
        return {nullptr, true};
      case Fallback::kAnyEndpoint:
        return {};
      case Fallback::kDefaultSubset:
        return defaultSubset();
      case Fallback::kKeysSubset:
        // The fallback's keys are a proper subset, so this ends.
        if (selector.fallbackKeys.size() < criteria.size()) {
          return choose(only(criteria, selector.fallbackKeys));
        }
        break;
      case Fallback::kNotDefined:
        break;
    }
    return clusterFallback();
  }

  SubsetChoice defaultSubset() const {
    if (anyHostMatches(assignment_, config_.defaultSubset, config_.listAsAny)) {
      return matching(config_.defaultSubset);
    }
    return {nullptr, true};
  }

  SubsetChoice clusterFallback() const {
    SubsetChoice choice;
    switch (config_.fallback) {
      case SubsetConfig::Fallback::kNoFallback:
        return {nullptr, true};
      case SubsetConfig::Fallback::kAnyEndpoint:
        return choice;
      case SubsetConfig::Fallback::kDefaultSubset:
        choice = defaultSubset();
        break;
    }
    choice.anyInPanic = config_.panicModeAny;
    return choice;
  }

  const SubsetConfig& config_;
  const LoadAssignment& assignment_;
};

}  // namespace

SubsetChoice chooseSubset(const SubsetConfig& config, const MetadataStruct& criteria,
                          const LoadAssignment& assignment) {
  return Chooser(config, assignment).choose(criteria);
}

}  // namespace sockmesh
