// SPDX-License-Identifier: Apache-2.0
// What the store knows of one resource type. Only the store includes this header.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/name.h"
#include "base/result.h"
#include "store/resource_limits.h"
#include "store/resource_store.h"
#include "store/wanted_names.h"

namespace sockmesh {

// The last good version of a resource, with the hash of what it was decoded from.
struct Held {
  std::optional<std::uint64_t> hash;  // none: not from the server, any resource replaces it
  DecodedResource value;
  std::string version;  // its own; "" where it came without one, or was removed and stays
  ResourceSource source = ResourceSource::kControlPlane;
  std::size_t endpoints = 0;
};

struct TypeState {
  const ResourceType* type = nullptr;
  NameMap<Held> held;                  // the newest good versions; Warming knows which are in force
  std::size_t endpoints = 0;           // of `held`
  WantedNames wanted;                  // kByName
  std::optional<std::string> version;  // of the last response of which nothing was rejected
  bool received = false;               // a response of which anything could be used

  bool byName() const { return type->scope == ResourceType::Scope::kByName; }
  // Whether a version wants this name of this source.
  bool wants(const std::string& name, ResourceSource source) const;
  bool isOf(const std::string& name, ResourceSource source) const;
  // Whether there is room for `newest` in place of what is held under its name.
  Status fits(const std::string& name, const Held& newest, const ResourceLimits& limits) const;
  void put(const std::string& name, Held newest);
  // Whether it was held.
  bool drop(const std::string& name);
};

// In the order of resourceTypes().
std::vector<TypeState> makeTypeStates();

// For people.
std::string_view sourceName(ResourceSource source);

}  // namespace sockmesh
