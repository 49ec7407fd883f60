// SPDX-License-Identifier: Apache-2.0
#include "store/type_state.h"

#include <utility>

#include "decode/file_names.h"

namespace sockmesh {

bool TypeState::wants(const std::string& name, ResourceSource source) const {
  return wanted.contains(name) &&
         fileResource(name).has_value() == (source == ResourceSource::kFile);
}

bool TypeState::isOf(const std::string& name, ResourceSource source) const {
  const auto found = held.find(name);
  return found != held.end() && found->second.source == source;
}

Status TypeState::fits(const std::string& name, const Held& newest,
                       const ResourceLimits& limits) const {
  const auto before = held.find(name);
  const std::size_t others = before == held.end() ? held.size() : held.size() - 1;
  if (auto fits = limits.checkCount(others + 1); !fits) return fits;
  const std::size_t replaced = before == held.end() ? 0 : before->second.endpoints;
  // What does not grow is taken, so that a limit that is exceeded already can be obeyed.
  if (newest.endpoints <= replaced) return {};
  return limits.checkEndpoints(endpoints - replaced + newest.endpoints);
}

void TypeState::put(const std::string& name, Held newest) {
  Held& place = held[name];
  endpoints = endpoints - place.endpoints + newest.endpoints;
  place = std::move(newest);
}

bool TypeState::drop(const std::string& name) {
  const auto found = held.find(name);
  if (found == held.end()) return false;
  endpoints -= found->second.endpoints;
  held.erase(found);
  return true;
}

std::vector<TypeState> makeTypeStates() {
  std::vector<TypeState> types;
  for (const ResourceType& type : resourceTypes()) types.emplace_back().type = &type;
  return types;
}

std::string_view sourceName(ResourceSource source) {
  switch (source) {
    case ResourceSource::kControlPlane:
      return "the control plane's resources";
    case ResourceSource::kFile:
      return "a file of local_resources";
    case ResourceSource::kStatic:
      return "local_resources";
  }
  return "";
}

}  // namespace sockmesh
