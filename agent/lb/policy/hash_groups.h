// SPDX-License-Identifier: Apache-2.0
// The groups of a hash policy: one for each priority, and which priority a hash leads to.
#pragma once

#include <functional>
#include <span>

#include "lb/hash_hosts.h"
#include "lb/policy/configured_policy.h"

namespace sockmesh {

// Makes the table of one group and sets what else the policy keeps in the group. A table of size 0:
// the hash finds no host.
using HashTableMaker = std::function<CellTable(std::span<const HashHost> hosts, LbGroup& group)>;

// The group of a priority has the healthy hosts, or all of them in panic. With bounded load the
// hosts' weights follow the table.
PolicyGroups hashGroups(const GroupContext& context, const PolicyHosts& hosts,
                        const HashTableMaker& make);

}  // namespace sockmesh
