// SPDX-License-Identifier: Apache-2.0
// LEAST_REQUEST: the least busy of some hosts that were drawn, or of all of them.
#pragma once

#include "lb/policy/configured_policy.h"

namespace sockmesh {

// Builds a group for each part of the hosts. It has an alias table where their weights differ.
const ConfiguredPolicy& leastRequestPolicy();

}  // namespace sockmesh
