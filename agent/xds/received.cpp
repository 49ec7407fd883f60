// SPDX-License-Identifier: Apache-2.0
#include "xds/received.h"

#include <algorithm>

namespace sockmesh {
namespace {

// Blocks of this size come from the system and go back to it when they are freed.
constexpr std::size_t kArenaBlock = std::size_t{1} << 20U;

// Of a resource of one of our types, whichever it is; "" for others.
std::string nameOfAnyType(const Envelope& envelope) {
  if (!envelope.name.empty()) return envelope.name;
  const ResourceType* type = findResourceType(envelope.typeUrl);
  if (type == nullptr) return "";
  const std::unique_ptr<google::protobuf::Message> proto(type->prototype->New());
  return proto->ParseFromString(envelope.bytes) ? type->nameOf(*proto) : "";
}

void parseOne(const Envelope& envelope, const ResourceType& type, ReceivedUpdate& all) {
  if (envelope.unreadable) {
    all.unreadable.push_back(
        {"", envelope.position + ": is not a valid envoy.service.discovery.v3.Resource"});
    return;
  }
  if (!envelope.heartbeat && envelope.typeUrl != type.url) {
    all.rejected.push_back({nameOfAnyType(envelope), envelope.position + ": is a '" +
                                                         envelope.typeUrl + "', not a '" +
                                                         std::string(type.url) + "'"});
    return;
  }
  Received one{envelope.name,    envelope.name,    nullptr,       envelope.ttl,
               envelope.version, envelope.aliases, envelope.bytes};
  if (!envelope.heartbeat) {
    google::protobuf::Message* proto = type.prototype->New(all.messages.get());
    one.proto = proto;
    if (!proto->ParseFromString(envelope.bytes)) {
      all.unreadable.push_back(
          {envelope.name, envelope.position + ": is not a valid " + type.prototype->GetTypeName()});
      return;
    }
    one.name = type.nameOf(*one.proto);
  }
  if (!envelope.badTtl.empty()) {
    all.rejected.push_back({one.name, envelope.position + "." + envelope.badTtl});
    return;
  }
  all.resources.push_back(std::move(one));
}

}  // namespace

bool ReceivedUpdate::onlyHeartbeats() const {
  return rejected.empty() && !resources.empty() &&
         std::ranges::all_of(resources, [](const auto& one) { return !one.proto && one.ttl; });
}

ReceivedUpdate parseResources(const Update& update, const ResourceType& type) {
  ReceivedUpdate all;
  google::protobuf::ArenaOptions options;
  options.max_block_size = kArenaBlock;
  all.messages = std::make_unique<google::protobuf::Arena>(options);
  for (const Envelope& envelope : update.resources) parseOne(envelope, type, all);
  return all;
}

}  // namespace sockmesh
