// SPDX-License-Identifier: Apache-2.0
// What the policies that go by the hosts' weights have in common.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "lb/policy/configured_policy.h"

namespace sockmesh {

// The weight of each host, in order; all > 0.
std::vector<double> weightsOf(const HostList& hosts);

std::vector<HostPool> hostPools(const PolicyHosts& hosts);

// Makes the group of a part that has hosts.
using PartMaker =
    std::function<std::shared_ptr<const LbGroup>(const HostPool& source, const HostPoolPart& part)>;

// Appends a group for each part of the source; a part without hosts gets a group that refuses.
void appendParts(const GroupContext& context, const HostPool& source, const PartMaker& make,
                 std::vector<SharedGroup>& groups);

}  // namespace sockmesh
