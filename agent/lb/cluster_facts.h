// What the datapath and the detector need to know of a cluster besides its selection tables.
#pragma once

#include <memory>
#include <string>

#include "lb/tables.h"
#include "model/cluster.h"

namespace sockmesh {

// Consecutive failed connects that eject at once; 0: none do. A failed connect counts as a 5xx and
// as a gateway failure, or, with split errors, as a local-origin failure: the least threshold of
// those that are always enforced. One that is enforced with a probability is the agent's to decide.
std::uint32_t consecutiveThreshold(const OutlierDetection& config);

// The most endpoints that may be ejected at once: the largest A with 100 * A / hosts <=
// max_ejection_percent; at least one with always_eject_one_host.
std::uint32_t ejectionLimit(const OutlierDetection& config, std::size_t hosts);

// Either may be null where it has not arrived; there are no endpoints then.
LbCluster clusterFacts(const std::string& name, const Cluster* cluster,
                       const LoadAssignment* assignment);

}  // namespace sockmesh
