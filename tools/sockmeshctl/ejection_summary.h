// SPDX-License-Identifier: Apache-2.0
// Outlier detection cluster by cluster, from the kernel's states.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "document.h"
#include "node_view.h"

namespace sockmesh::ctl {

struct ClusterEjections {
  std::string name;
  std::uint32_t ejected = 0;
  std::uint32_t limit = 0;  // endpoints that may be ejected at once
  std::uint32_t endpoints = 0;
  std::uint64_t detected = 0;
  std::uint64_t enforced = 0;
  std::uint64_t overflow = 0;

  // A warning that no endpoint of the cluster can be ejected. "" for no warning.
  std::string note() const;
};

// One entry for each cluster with outlier detection, by name.
std::vector<ClusterEjections> clusterEjections(const NodeView& view);

// The line of `status`, with the clusters whose settings cannot work.
void addOutlierDetection(const NodeView& view, Document& out);

std::string detectorText(std::uint32_t detector);
// "12s ago"; "never" for 0.
std::string agoText(std::uint64_t atNs, std::uint64_t nowNs);

}  // namespace sockmesh::ctl
