// SPDX-License-Identifier: Apache-2.0
// ROUND_ROBIN: the group's cursor walks a schedule of hosts.
#pragma once

#include "lb/policy/configured_policy.h"

namespace sockmesh {

// Builds a group for each part of the hosts, or for each source whose localities fit into one
// schedule. If no schedule holds the weights (see schedule.h), it is a RANDOM group with these
// weights.
const ConfiguredPolicy& roundRobinPolicy();

}  // namespace sockmesh
