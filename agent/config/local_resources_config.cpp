// SPDX-License-Identifier: Apache-2.0
#include "config/local_resources_config.h"

#include <set>

#include "decode/file_names.h"
#include "decode/type_urls.h"

namespace sockmesh {
namespace {

using PathConfigSource = envoy::config::core::v3::PathConfigSource;

// Judged here, so that an agent does not start with a resource that it cannot use.
template <typename Proto>
void takeList(const google::protobuf::RepeatedPtrField<Proto>& protos, std::string_view typeUrl,
              std::string_view field, FileSource::Options& out, FieldErrors& errors) {
  const ResourceType& type = *findResourceType(typeUrl);
  std::set<std::string> names;
  Update update;
  update.typeUrl = type.url;
  update.stateOfTheWorld = true;
  for (int i = 0; i < protos.size(); ++i) {
    const FieldErrors::Scope scope(errors, field, static_cast<std::size_t>(i));
    const Proto& proto = protos.Get(i);
    const auto decoded = type.decode(proto);
    if (!decoded) {
      errors.add(decoded.error().message());
    } else if (proto.name().empty()) {
      errors.add("name", "is required");
    } else if (!names.insert(proto.name()).second) {
      errors.add("name", "\"" + proto.name() + "\" is there more than once");
    }
    Envelope& envelope = update.resources.emplace_back();
    envelope.position = std::string(field) + "[" + std::to_string(i) + "]";
    envelope.typeUrl = type.url;
    envelope.bytes = proto.SerializeAsString();
  }
  if (!update.resources.empty()) out.statics.push_back(std::move(update));
}

void takeFile(bool given, const PathConfigSource& file, std::string_view typeUrl,
              std::string_view field, FileSource::Options& out, FieldErrors& errors) {
  if (!given) return;
  const FieldErrors::Scope scope(errors, field);
  checkFile(file, errors);
  out.lists.push_back({findResourceType(typeUrl), file.path()});
}

}  // namespace

FileSource::Options takeLocalResources(const sockmesh::config::v1::LocalResources& proto,
                                       FieldErrors& errors) {
  const FieldErrors::Scope scope(errors, "local_resources");
  FileSource::Options out;
  takeList(proto.clusters(), kClusterType, "clusters", out, errors);
  takeList(proto.listeners(), kListenerType, "listeners", out, errors);
  takeFile(proto.has_clusters_file(), proto.clusters_file(), kClusterType, "clusters_file", out,
           errors);
  takeFile(proto.has_listeners_file(), proto.listeners_file(), kListenerType, "listeners_file", out,
           errors);
  return out;
}

}  // namespace sockmesh
