// SPDX-License-Identifier: Apache-2.0
// A resource type, as the engine sees it: how resources of the type are read, who asks for them and
// where a good version goes. The table in resource_types.cpp has one row for each type. The client,
// the store and the timers work by the table and name no type.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/snapshot.h"

namespace sockmesh {

class Warming;

// A decoded resource. Only the functions of its type know what it points at. Never null.
using DecodedResource = std::shared_ptr<const void>;

struct ResourceType {
  enum class Scope : std::uint8_t {
    kAll,     // subscribed to by wildcard: a state-of-the-world response lists all there is
    kByName,  // subscribed to by the names that other resources want: a response has some of them
  };

  std::string_view url;
  std::string shortName;  // "CDS", for people
  Scope scope = Scope::kAll;
  // URL of the type that the control plane answers first, before this one is asked for; "": none.
  std::string_view askedAfter;
  bool expires = false;  // Resource.ttl counts
  // Null: always needed. Otherwise the type only adds to what other types say: it is asked for once
  // this is true, and stays so, and a snapshot is complete without it.
  bool (*needed)(const Warming& warming) = nullptr;
  // A setting alone says whether the type is needed: it is known before the client is made.
  bool bySetting = false;
  // Asked for in delta alone. In the state of the world its resources are unknown.
  bool deltaOnly = false;

  // Reading. `prototype` is the empty message, and `nameOf` and `decode` take a message of its
  // kind.
  const google::protobuf::Message* prototype = nullptr;
  // Null: the name is the wrapper's alone.
  std::string (*nameOf)(const google::protobuf::Message& message) = nullptr;
  std::string_view nameField;  // the field that nameOf() reads, for errors
  // False: nameOf() makes the name up, for people. The control plane is never told it, because it
  // would count as the name of a resource that is gone.
  bool isNamed = true;
  // An Error lists every violation with its field path; it becomes the NACK.
  Result<DecodedResource> (*decode)(const google::protobuf::Message& message) = nullptr;
  // How many endpoints are in it; null: none.
  std::size_t (*endpoints)(const DecodedResource& resource) = nullptr;
  // The version that takes effect when the same resource comes again; null where that is no news.
  // The function itself is null for a type whose resources do not age.
  DecodedResource (*renewed)(const DecodedResource& held) = nullptr;

  // Applying. `set` gets each new good version, `remove` the name of a resource that the control
  // plane removed or that is wanted no more, `expire` the name of a resource whose TTL is over.
  void (*set)(Warming& warming, const std::string& name, const DecodedResource& newest) = nullptr;
  void (*remove)(Warming& warming, const std::string& name) = nullptr;
  void (*expire)(Warming& warming, const std::string& name) = nullptr;
  // kAll; may be null. Gets false after a list in which not all names could be read, and true after
  // a complete one. Returns whether that changed what is in force.
  bool (*listed)(Warming& warming, bool complete) = nullptr;
  // kByName: what a wanted name counts as once its initial_fetch_timeout is over.
  DecodedResource (*absent)(const std::string& name) = nullptr;
  // kByName: the line for the log then; {} is the name.
  std::string_view absentLine = "";
  // kByName: whether a version that serves is to be replaced by one that waits for this name.
  bool (*replaces)(const Warming& warming, const std::string& name) = nullptr;
  // How many resources of this type are in force.
  std::size_t (*count)(const Snapshot& snapshot) = nullptr;
};

// All types, in the order in which they are asked for. Addresses are stable.
const std::vector<ResourceType>& resourceTypes();
// Null: not a type of ours.
const ResourceType* findResourceType(std::string_view url);

struct ResourceKey {
  const ResourceType* type = nullptr;  // of resourceTypes()
  std::string name;
  auto operator<=>(const ResourceKey&) const = default;
};

// The versions of what is held of a type, by name; "" where a version is not known.
using ResourceVersions = std::map<std::string, std::string>;

}  // namespace sockmesh
