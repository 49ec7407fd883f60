// SPDX-License-Identifier: Apache-2.0
// What a cell of a table holds, in words.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "lb/tables.h"

namespace sockmesh {

struct CellUse {
  std::uint32_t cell = 0;   // counted from the table's first
  std::string_view use;     // "table", "ring"
  std::uint64_t index = 0;  // of the entry in what `use` names; a cell may hold several
  std::string value;
};

using CellVisitor = std::function<void(const CellUse&)>;

// Each entry of an alias table: "3 below 4026531840, else 1".
void describeAlias(std::string_view use, std::span<const sm_cell> cells, const CellVisitor& visit);
// Each of the first `count` words, as far as there are cells.
void describeWords(std::string_view use, std::span<const sm_cell> cells, std::uint64_t count,
                   const CellVisitor& visit);

}  // namespace sockmesh
