// SPDX-License-Identifier: Apache-2.0
// What a store still waits for, for tests, in few words.
#pragma once

#include <map>
#include <string>

#include "decode/type_urls.h"
#include "store/resource_store.h"

namespace sockmesh::xds_test {

inline const ResourceType& edsType() {
  return *findResourceType(kAssignmentType);
}
inline ResourceKey endpointsOf(const std::string& edsName) {
  return {&edsType(), edsName};
}
// EDS names whose assignment has not arrived, with their time-out.
inline std::map<std::string, Nanos> missingEndpoints(const ResourceStore& store) {
  std::map<std::string, Nanos> missing;
  for (const auto& [key, timeout] : store.missing()) missing.emplace(key.name, timeout);
  return missing;
}

}  // namespace sockmesh::xds_test
