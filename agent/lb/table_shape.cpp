// SPDX-License-Identifier: Apache-2.0
#include "lb/table_shape.h"

#include "lb/policy/policy.h"

namespace sockmesh {

TableShape shapeOf(const sm_group& group) {
  return {.policy = group.policy,
          .flags = group.flags,
          .size = group.table_size,
          .ringShift = group.ring_shift,
          .balancePercent = group.balance_percent,
          .hosts = group.host_count};
}

TableShape shapeOf(const LbGroup& group) {
  return {.policy = static_cast<std::uint32_t>(group.policy),
          .flags = group.flags,
          .size = group.table->size,
          .ringShift = group.ringShift,
          .balancePercent = group.balancePercent,
          .hosts = static_cast<std::uint32_t>(group.hosts.size())};
}

std::uint32_t tableCellCount(const TableShape& shape) {
  return policyOf(shape.policy).cellCount(shape);
}

}  // namespace sockmesh
