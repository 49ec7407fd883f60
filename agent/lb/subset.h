// The subset load balancer (lb_subset_config): which of a cluster's endpoints a route's metadata
// leaves over.
#pragma once

#include <functional>
#include <optional>

#include "model/assignment.h"
#include "model/cluster.h"
#include "model/metadata.h"

namespace sockmesh {

struct SubsetChoice {
  // Which endpoints take part; null: all of them.
  std::function<bool(const Endpoint&)> filter;
  // No subset matches and no fallback allows another: connections are refused.
  bool none = false;
  // Connections for which those endpoints have no host to use go to any endpoint of the cluster
  // (panic_mode_any). Envoy has that for the cluster's own fallback alone.
  bool anyInPanic = false;
};

// `criteria` is the leg's metadata_match (envoy.lb).
SubsetChoice chooseSubset(const SubsetConfig& config, const MetadataStruct& criteria,
                          const LoadAssignment& assignment);

}  // namespace sockmesh
