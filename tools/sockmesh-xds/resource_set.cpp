// SPDX-License-Identifier: Apache-2.0
#include "resource_set.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string_view>
#include <utility>

#include "decode/type_urls.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {
namespace {

constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325;
constexpr std::uint64_t kFnvPrime = 0x100000001b3;

// FNV-1a, for versions only. A hash table with it could be attacked.
std::uint64_t fnv(std::string_view bytes, std::uint64_t hash = kFnvOffset) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * kFnvPrime;
  return hash;
}

std::unique_ptr<google::protobuf::Message> newMessage(const std::string& typeName) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(typeName);
  if (descriptor == nullptr) return nullptr;
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor);
  return std::unique_ptr<google::protobuf::Message>(prototype->New());
}

}  // namespace

Status ResourceSet::add(const std::string& typeUrl, const std::string& name,
                        google::protobuf::Any any, const std::string& source) {
  auto resource = std::make_shared<ServedResource>();
  resource->hash = fnv(any.value());
  resource->source = source;
  resource->any = std::move(any);
  const auto [entry, isNew] = byType_[typeUrl].emplace(name, std::move(resource));
  if (isNew) return {};
  return Error(fmt::format("{} \"{}\" is defined twice: in {} and in {}", shortTypeName(typeUrl),
                           name, entry->second->source, source));
}

const ResourcesByName& ResourceSet::ofType(const std::string& typeUrl) const {
  static const ResourcesByName kNone;
  const auto found = byType_.find(typeUrl);
  return found == byType_.end() ? kNone : found->second;
}

std::size_t ResourceSet::size() const {
  std::size_t count = 0;
  for (const auto& [type, resources] : byType_) count += resources.size();
  return count;
}

std::string versionOf(const ResourcesByName& resources) {
  std::uint64_t hash = kFnvOffset;
  for (const auto& [name, resource] : resources) {
    hash = fnv(fmt::format("{}\n{:x}\n", name, resource->hash), hash);
  }
  return fmt::format("{:016x}", hash);
}

bool isKnownType(const std::string& typeUrl) {
  std::string typeName;
  return google::protobuf::Any::ParseAnyTypeUrl(typeUrl, &typeName) &&
         google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(typeName) !=
             nullptr;
}

Result<std::string> resourceName(const google::protobuf::Any& any) {
  std::string typeName;
  if (!google::protobuf::Any::ParseAnyTypeUrl(any.type_url(), &typeName)) {
    return Error(fmt::format("\"{}\" is not a type URL", any.type_url()));
  }
  const auto message = newMessage(typeName);
  if (!message) return Error(fmt::format("unknown type {}", any.type_url()));
  if (!message->ParseFromString(any.value())) {
    return Error(fmt::format("not a valid {}", typeName));
  }
  for (const char* field : {"cluster_name", "name"}) {
    const auto* descriptor = message->GetDescriptor()->FindFieldByName(field);
    if (descriptor == nullptr || descriptor->is_repeated() ||
        descriptor->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      continue;
    }
    std::string name = message->GetReflection()->GetString(*message, descriptor);
    if (name.empty()) return Error(fmt::format("{}: must not be empty", field));
    return name;
  }
  // The only resource of its type, such as istio's name table.
  return std::string();
}

}  // namespace sockmesh
