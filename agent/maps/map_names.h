// SPDX-License-Identifier: Apache-2.0
// Names of the pinned maps, from the list in the ABI.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sockmesh_abi.h"

namespace sockmesh {

// An identifier for each map, spelled as its name.
enum class MapId : std::size_t {
#define SM_MAP_ID(name) name,
  SM_MAPS(SM_MAP_ID)
#undef SM_MAP_ID
};

// By MapId.
inline const std::vector<std::string> kMapNames = {
#define SM_MAP_NAME(name) #name,
    SM_MAPS(SM_MAP_NAME)
#undef SM_MAP_NAME
};

inline const std::string& mapName(MapId map) {
  return kMapNames[static_cast<std::size_t>(map)];
}

}  // namespace sockmesh
