// SPDX-License-Identifier: Apache-2.0
// What the datapath and the detector need to know of a cluster besides its selection tables.
#pragma once

#include <memory>
#include <string>

#include "lb/tables.h"
#include "model/cluster.h"

namespace sockmesh {

// The part of outlier detection that the kernel does. A failed connect counts as a gateway failure
// and as a 5xx, and Envoy asks the detectors in this order. With split errors it counts as a
// local-origin failure.
EjectionRules ejectionRules(const OutlierDetection& config, std::size_t hosts);

// The most endpoints that may be ejected at once: the largest A with 100 * A / hosts <=
// max_ejection_percent; at least one with always_eject_one_host.
std::uint32_t ejectionLimit(const OutlierDetection& config, std::size_t hosts);

// An argument is null if it has not arrived. There are no endpoints then. The facts share the
// assignment.
LbCluster clusterFacts(const std::string& name, const Cluster* cluster,
                       const std::shared_ptr<const LoadAssignment>& assignment);

}  // namespace sockmesh
