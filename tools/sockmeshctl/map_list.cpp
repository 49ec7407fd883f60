// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "text.h"

namespace sockmesh::ctl {

Outcome mapList(const NodeView& view) {
  Table table;
  table.columns = {{"NAME"},
                   {"KIND"},
                   {"ENTRIES", false, true},
                   {"MAX", false, true},
                   {"PAGES", false, true},
                   {"MEMORY", false, true}};
  Json items = Json::array();
  for (const MapUsage& map : view.live.maps) {
    const bool paged = map.kind == "array_of_maps";
    table.rows.push_back({map.name, map.kind, map.countable ? std::to_string(map.entries) : "",
                          map.capacity > 0 ? std::to_string(map.capacity) : "",
                          paged ? std::to_string(map.pages) : "", bytesText(map.memoryBytes)});
    items.push_back({{"name", map.name},
                     {"kind", map.kind},
                     {"entries", map.countable ? Json(map.entries) : Json(nullptr)},
                     {"maxEntries", map.capacity > 0 ? Json(map.capacity) : Json(nullptr)},
                     {"pages", paged ? Json(map.pages) : Json(nullptr)},
                     {"memoryBytes", map.memoryBytes}});
  }
  return Document{"MapList", {{"items", items}}, {{"", table}}};
}

}  // namespace sockmesh::ctl
