// SPDX-License-Identifier: Apache-2.0
#include "lb/cell_text.h"

#include <string>

#include "base/number_text.h"

namespace sockmesh {

void describeAlias(std::string_view use, std::span<const sm_cell> cells, const CellVisitor& visit) {
  for (std::uint32_t i = 0; i < cells.size(); ++i) {
    const auto& entry = cells[i].alias;
    std::string text = std::to_string(entry.here);
    if (entry.threshold != UINT32_MAX) {
      text += " below " + std::to_string(entry.threshold) + ", else " + std::to_string(entry.other);
    }
    if (entry.inverse_q16 != 0) text += ", load x " + exactText(entry.inverse_q16 / 65536.0);
    visit({.cell = i, .use = use, .index = i, .value = std::move(text)});
  }
}

void describeWords(std::string_view use, std::span<const sm_cell> cells, std::uint64_t count,
                   const CellVisitor& visit) {
  for (std::uint64_t i = 0; i < count && i / 4 < cells.size(); ++i) {
    visit({.cell = static_cast<std::uint32_t>(i / 4),
           .use = use,
           .index = i,
           .value = std::to_string(cells[i / 4].words[i % 4])});
  }
}

}  // namespace sockmesh
