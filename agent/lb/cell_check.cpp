// SPDX-License-Identifier: Apache-2.0
#include "lb/cell_check.h"

#include <string>

#include "lb/table_shape.h"

namespace sockmesh {

Error outOfBounds(const char* what, std::uint64_t index, std::uint32_t value, std::size_t limit) {
  return Error(std::string(what) + "[" + std::to_string(index) + "]: " + std::to_string(value) +
               " is not below " + std::to_string(limit));
}

Status checkAlias(std::span<const sm_cell> cells, std::size_t limit) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto& entry = cells[i].alias;
    if (entry.here >= limit) return outOfBounds("alias", i, entry.here, limit);
    // Not read if the entry is always `here`.
    if (entry.threshold != UINT32_MAX && entry.other >= limit) {
      return outOfBounds("alias", i, entry.other, limit);
    }
  }
  return {};
}

Status checkWords(std::span<const sm_cell> cells, std::uint64_t count, std::size_t limit) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint32_t word = cells[i / 4].words[i % 4];
    if (word >= limit) return outOfBounds("word", i, word, limit);
  }
  return {};
}

Status checkHosts(const LbGroup& group) {
  return group.hosts.empty() ? Status(Error("no hosts")) : Status();
}

Status checkTable(const LbGroup& group) {
  if (!group.table || group.table->size == 0) return Error("no table");
  if (group.table->cells.size() != tableCellCount(shapeOf(group))) {
    return Error("fewer cells than the table needs");
  }
  return {};
}

}  // namespace sockmesh
