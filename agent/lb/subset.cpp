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
    const auto found = endpoint.lbMetadata.find(pair.first);
    return found != endpoint.lbMetadata.end() &&
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

// The selector whose keys are those of the criteria; where redundant keys are allowed, the first of
// those with the most keys that the criteria all have. Null: none.
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

class Chooser {
 public:
  Chooser(const SubsetConfig& config, const LoadAssignment& assignment)
      : config_(config), assignment_(assignment) {}

  SubsetChoice choose(const MetadataStruct& criteria) const {
    using Fallback = SubsetSelector::Fallback;
    const SubsetSelector* selector = selectorOf(config_, criteria);
    if (selector == nullptr) return clusterFallback();
    const MetadataStruct wanted = only(criteria, selector->keys);
    if (anyHostMatches(assignment_, wanted, config_.listAsAny)) return matching(wanted);
    switch (selector->fallback) {
      case Fallback::kNoFallback:
        return {nullptr, true};
      case Fallback::kAnyEndpoint:
        return {};
      case Fallback::kDefaultSubset:
        return defaultSubset();
      case Fallback::kKeysSubset:
        // A proper subset of the keys, so that this ends.
        if (selector->fallbackKeys.size() < criteria.size()) {
          return choose(only(criteria, selector->fallbackKeys));
        }
        break;
      case Fallback::kNotDefined:
        break;
    }
    return clusterFallback();
  }

 private:
  SubsetChoice matching(const MetadataStruct& wanted) const {
    const bool listAsAny = config_.listAsAny;
    return {[wanted, listAsAny](const Endpoint& endpoint) {
              return hostMatches(endpoint, wanted, listAsAny);
            },
            false};
  }

  SubsetChoice defaultSubset() const {
    if (anyHostMatches(assignment_, config_.defaultSubset, config_.listAsAny)) {
      return matching(config_.defaultSubset);
    }
    return {nullptr, !config_.panicModeAny};
  }

  SubsetChoice clusterFallback() const {
    switch (config_.fallback) {
      case SubsetConfig::Fallback::kAnyEndpoint:
        return {};
      case SubsetConfig::Fallback::kDefaultSubset:
        return defaultSubset();
      case SubsetConfig::Fallback::kNoFallback:
        break;
    }
    return {nullptr, true};
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
