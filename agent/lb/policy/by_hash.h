// SPDX-License-Identifier: Apache-2.0
// BY_HASH: the connection's hash leads to one of the service's groups. It is how a hash policy
// chooses among priorities.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lb/cell_table.h"
#include "lb/policy/policy.h"

namespace sockmesh {

const Policy& byHashPolicy();

// A group that leads to groups[hash mod groups.size()] of its service; at least one.
std::shared_ptr<const LbGroup> byHashGroup(const std::vector<std::uint32_t>& groups,
                                           CellPool& pool);

}  // namespace sockmesh
