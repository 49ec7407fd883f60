// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/bounded_load.h"

#include <bit>

#include "base/number_text.h"

namespace sockmesh {

void appendWeights(std::span<const HashHost> hosts, CellTable& table) {
  const std::size_t first = table.cells.size();
  table.cells.resize(first + (hosts.size() + 1) / 2);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    table.cells[first + i / 2].weight_bits[i % 2] = std::bit_cast<std::uint64_t>(hosts[i].weight);
  }
}

std::uint32_t boundedLoadCells(const TableShape& shape) {
  return shape.balancePercent > 0 ? shape.hosts / 2 + shape.hosts % 2 : 0;
}

std::vector<std::string> boundedLoadParameters(const LbGroup& group) {
  if (group.balancePercent == 0) return {};
  return {"balance=" + std::to_string(group.balancePercent) + "%"};
}

void describeBoundedLoad(const LbGroup& group, const CellVisitor& visit) {
  const std::uint32_t count = boundedLoadCells(shapeOf(group));
  const auto& cells = group.table->cells;
  if (count == 0 || cells.size() < count) return;
  const auto first = static_cast<std::uint32_t>(cells.size() - count);
  for (std::uint32_t i = 0; i < group.hosts.size(); ++i) {
    const std::uint32_t at = first + i / 2;
    visit({.cell = at,
           .use = "share of load",
           .index = i,
           .value = exactText(std::bit_cast<double>(cells[at].weight_bits[i % 2]))});
  }
}

}  // namespace sockmesh
