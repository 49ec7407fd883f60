// Outlier detection cluster by cluster, as the kernel's lines have it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

  // What an operator may not expect: that none can be ejected. "" for nothing.
  std::string note() const;
};

// Of the clusters that have outlier detection, by name.
std::vector<ClusterEjections> clusterEjections(const NodeView& view);

std::string detectorText(std::uint32_t detector);
// "12s ago"; "never" for 0.
std::string agoText(std::uint64_t atNs, std::uint64_t nowNs);

}  // namespace sockmesh::ctl
