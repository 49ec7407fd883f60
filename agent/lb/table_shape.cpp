// SPDX-License-Identifier: Apache-2.0
#include "lb/table_shape.h"

namespace sockmesh {

TableShape shapeOf(const sm_group& group) {
  return {group.policy,     group.flags,           group.table_size,
          group.ring_shift, group.balance_percent, group.host_count};
}

TableShape shapeOf(const LbGroup& group) {
  return {static_cast<std::uint32_t>(group.policy),
          group.flags,
          group.table->size,
          group.ringShift,
          group.balancePercent,
          static_cast<std::uint32_t>(group.hosts.size())};
}

std::uint32_t tableCellCount(const TableShape& shape) {
  const auto wordCells = [](std::uint64_t words) {
    return static_cast<std::uint32_t>((words + 3) / 4);
  };
  const std::uint32_t weights = shape.balancePercent > 0 ? shape.hosts / 2 + shape.hosts % 2 : 0;
  switch (shape.policy) {
    case SM_POLICY_RANDOM:
      return shape.size;
    case SM_POLICY_LEAST_REQUEST:
      return (shape.flags & SM_GROUP_WEIGHTED) != 0 ? shape.size : 0;
    case SM_POLICY_ROUND_ROBIN:
    case SM_POLICY_BY_HASH:
      return wordCells(shape.size);
    case SM_POLICY_MAGLEV:
      return wordCells(shape.size) + weights;
    case SM_POLICY_RING_HASH:
      // Four buckets at least (sockmesh_abi.h); another shift is a broken map's.
      if (shape.ringShift < 32 || shape.ringShift > 62) return shape.size;
      return wordCells(1ULL << (64 - shape.ringShift)) + shape.size + weights;
    default:
      return 0;
  }
}

}  // namespace sockmesh
