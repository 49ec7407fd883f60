// SPDX-License-Identifier: Apache-2.0
// The subset load balancer (lb_subset_config): which of a cluster's endpoints a route's metadata
// selects.
#pragma once

#include <functional>
#include <optional>

#include "model/assignment.h"
#include "model/cluster.h"
#include "model/metadata.h"

namespace sockmesh {

struct SubsetChoice {
  // The endpoints that belong to the subset. Null: all of them.
  std::function<bool(const Endpoint&)> filter;
  // No subset matches and no fallback allows another: connections are refused.
  bool none = false;
  // Connections for which these endpoints have no usable host go to any endpoint of the cluster
  // (panic_mode_any). In Envoy only the cluster's own fallback has this.
  bool anyInPanic = false;
};

// `criteria` is the leg's metadata_match (envoy.lb).
SubsetChoice chooseSubset(const SubsetConfig& config, const MetadataStruct& criteria,
                          const LoadAssignment& assignment);

}  // namespace sockmesh
