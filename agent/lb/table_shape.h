// SPDX-License-Identifier: Apache-2.0
// How many cells the table of a group has.
#pragma once

#include <cstdint>

#include "lb/tables.h"

namespace sockmesh {

// What decides how many cells a group's table has.
struct TableShape {
  std::uint32_t policy = 0;
  std::uint32_t flags = 0;
  std::uint32_t size = 0;
  std::uint32_t ringShift = 0;
  std::uint32_t balancePercent = 0;
  std::uint32_t hosts = 0;
};
TableShape shapeOf(const sm_group& group);
TableShape shapeOf(const LbGroup& group);  // one that has a table

// Cells that such a table occupies: what sm_group::table_cell points at, including a ring's segment
// words and the weights of bounded load.
std::uint32_t tableCellCount(const TableShape& shape);

// Cells that hold this many words, four a cell.
constexpr std::uint32_t wordCellCount(std::uint64_t words) {
  return static_cast<std::uint32_t>((words + 3) / 4);
}

}  // namespace sockmesh
