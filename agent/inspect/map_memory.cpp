// SPDX-License-Identifier: Apache-2.0
#include "inspect/map_memory.h"

#include <map>
#include <string>

#include "maps/map_names.h"

namespace sockmesh {
namespace {

using Member = std::uint64_t MapMemory::*;

const std::map<std::string, Member>& members() {
  static const std::map<std::string, Member> kMembers = {
      {mapName(MapId::frontends4), &MapMemory::services},
      {mapName(MapId::frontends6), &MapMemory::services},
      {mapName(MapId::frontend_filter), &MapMemory::services},
      {mapName(MapId::ranges), &MapMemory::services},
      {mapName(MapId::heads), &MapMemory::services},
      {mapName(MapId::descriptors), &MapMemory::services},
      {mapName(MapId::groups), &MapMemory::services},
      {mapName(MapId::cells), &MapMemory::services},
      {mapName(MapId::cluster_state), &MapMemory::clusters},
      {mapName(MapId::cluster_stats), &MapMemory::clusters},
      {mapName(MapId::unswept), &MapMemory::clusters},
      {mapName(MapId::endpoints), &MapMemory::endpoints},
      {mapName(MapId::endpoint_state), &MapMemory::endpoints},
      {mapName(MapId::endpoint_stats), &MapMemory::endpoints},
      {mapName(MapId::names), &MapMemory::names},
      {mapName(MapId::connections), &MapMemory::connections},
      {mapName(MapId::conn_overflow), &MapMemory::connections},
      {mapName(MapId::affinity), &MapMemory::connections},
      {mapName(MapId::asked), &MapMemory::connections},
      {mapName(MapId::flows), &MapMemory::connections},
      {mapName(MapId::flow_sources), &MapMemory::connections},
      {mapName(MapId::counters), &MapMemory::cpus},
  };
  return kMembers;
}

}  // namespace

std::array<MapMemory::Share, 7> MapMemory::shares() const {
  return {{{"services", services},
           {"clusters", clusters},
           {"endpoints", endpoints},
           {"names", names},
           {"connections", connections},
           {"cpus", cpus},
           {"other", other}}};
}

MapMemory mapMemory(const std::vector<MapUsage>& maps) {
  MapMemory memory;
  for (const MapUsage& map : maps) {
    const auto found = members().find(map.name);
    const Member member = found == members().end() ? &MapMemory::other : found->second;
    memory.*member += map.memoryBytes;
  }
  return memory;
}

}  // namespace sockmesh
