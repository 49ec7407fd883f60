// SPDX-License-Identifier: Apache-2.0
// The resources of an update, each parsed as the message of its type; nothing is judged yet except
// its form.
#pragma once

#include <google/protobuf/arena.h>
#include <google/protobuf/message.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "store/apply_result.h"
#include "store/resource_type.h"
#include "store/update.h"

namespace sockmesh {

// Points into the update, and into the ReceivedUpdate.
struct Received {
  std::string name;
  std::string wrapperName;                           // "" without a wrapper
  const google::protobuf::Message* proto = nullptr;  // null for a heartbeat
  std::optional<Nanos> ttl;          // from when it was received; nothing: it does not expire
  std::string version;               // the wrapper's; "" without one
  std::vector<std::string> aliases;  // other names of it
  std::string_view content;          // what `proto` was read from

  // The server uses the requested name, which is the wrapper's name if there is a wrapper.
  const std::string& requestedName() const { return wrapperName.empty() ? name : wrapperName; }
  // The wrapper has another name than what is in it.
  bool hasOtherName() const { return requestedName() != name; }
  // The refusal then; `field` is the field with the name.
  RejectedResource otherName(std::string_view field) const {
    return {requestedName(),
            std::string(field) + ": is '" + name + "', not '" + requestedName() + "'"};
  }
};

struct ReceivedUpdate {
  // The messages. One piece of memory for all: it is made fast, and given back as a whole.
  std::unique_ptr<google::protobuf::Arena> messages;
  std::vector<Received> resources;           // in the order received
  std::vector<RejectedResource> rejected;    // of another type, with a bad ttl, or nested too deep
  std::vector<RejectedResource> unreadable;  // any here: the whole response is to be rejected

  // An update that only renews TTLs: it is no list of what there is.
  bool onlyHeartbeats() const;
};

// A resource with messages nested deeper than `nesting` is rejected by name.
ReceivedUpdate parseResources(const Update& update, const ResourceType& type, int nesting);

}  // namespace sockmesh
