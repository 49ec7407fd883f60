// SPDX-License-Identifier: Apache-2.0
// RANDOM: a draw from an alias table over the hosts.
#pragma once

#include <memory>
#include <vector>

#include "lb/policy/configured_policy.h"

namespace sockmesh {

// Builds one group over all hosts of all priorities and localities, with their effective shares.
const ConfiguredPolicy& randomPolicy();

// `group` as a RANDOM group in which host i is drawn with weights[i] of their sum.
std::shared_ptr<const LbGroup> randomGroup(const GroupContext& context, LbGroup group,
                                           const std::vector<double>& weights);

}  // namespace sockmesh
