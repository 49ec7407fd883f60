// SPDX-License-Identifier: Apache-2.0
#include "store/received.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <cstdint>

#include "store/resource_limits.h"

namespace sockmesh {
namespace {

using google::protobuf::Message;

constexpr int kUsualNesting = 100;

// Blocks of this size come from the system and go back to it when they are freed.
constexpr std::size_t kArenaBlock = std::size_t{1} << 20U;

// Of a resource of one of our types, whichever it is; "" for others.
std::string nameOfAnyType(const Envelope& envelope) {
  if (!envelope.name.empty()) return envelope.name;
  const ResourceType* type = findResourceType(envelope.typeUrl);
  if (type == nullptr) return "";
  if (type->nameOf == nullptr) return "";
  const std::unique_ptr<Message> proto(type->prototype->New());
  return proto->ParseFromString(envelope.bytes) ? type->nameOf(*proto) : "";
}

bool parses(Message& proto, const std::string& bytes, int nesting) {
  // protobuf's own limit, without a detour.
  if (nesting == kUsualNesting) return proto.ParseFromString(bytes);
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(nesting);
  return proto.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

// Reads the payload into `one`. Not readable: the whole response is bad. Nested too deep: this
// resource is.
void parsePayload(const Envelope& envelope, const ResourceType& type, int nesting, Received& one,
                  ReceivedUpdate& all) {
  const auto make = [&](int limit) {
    Message* proto = type.prototype->New(all.messages.get());
    if (!parses(*proto, envelope.bytes, limit)) return false;
    one.proto = proto;
    if (type.nameOf != nullptr) one.name = type.nameOf(*proto);
    return true;
  };
  if (make(nesting)) return;
  if (make(ResourceLimits::kMostNesting)) {
    all.rejected.push_back({one.name, envelope.position +
                                          ": is nested deeper than limits.max_nesting, which is " +
                                          std::to_string(nesting)});
  } else {
    all.unreadable.push_back(
        {envelope.name, envelope.position + ": is not a valid " + type.prototype->GetTypeName()});
  }
  one.proto = nullptr;
}

void parseOne(const Envelope& envelope, const ResourceType& type, int nesting,
              ReceivedUpdate& all) {
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
    parsePayload(envelope, type, nesting, one, all);
    if (!one.proto) return;
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

ReceivedUpdate parseResources(const Update& update, const ResourceType& type, int nesting) {
  ReceivedUpdate all;
  google::protobuf::ArenaOptions options;
  options.max_block_size = kArenaBlock;
  all.messages = std::make_unique<google::protobuf::Arena>(options);
  for (const Envelope& envelope : update.resources) parseOne(envelope, type, nesting, all);
  return all;
}

}  // namespace sockmesh
