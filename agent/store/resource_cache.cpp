// SPDX-License-Identifier: Apache-2.0
#include "store/resource_cache.h"

#include <cerrno>
#include <utility>

#include "store/cache_file.h"

namespace sockmesh {
namespace {

using sockmesh::cache::v1::Configuration;

// As a delta response says it: what else there is, is not known.
Update updateOf(const sockmesh::cache::v1::Type& type, Nanos wallNow) {
  Update update;
  update.typeUrl = type.type_url();
  for (const auto& resource : type.resources()) {
    const Nanos left = Nanos(resource.expires_at_nanos()) - wallNow;
    if (resource.expires_at_nanos() != 0 && left <= Nanos(0)) continue;
    Envelope& envelope = update.resources.emplace_back();
    envelope.position = resource.name();
    envelope.name = resource.name();
    envelope.version = resource.version();
    envelope.typeUrl = type.type_url();
    envelope.bytes = resource.content();
    if (resource.expires_at_nanos() != 0) envelope.ttl = left;
  }
  return update;
}

}  // namespace

ResourceCache::ResourceCache(ResourceStore& store, const CacheWriter::Options& options,
                             CacheWriter::OnResult onResult)
    : store_(store) {
  auto content = readCacheFile(options.path);
  if (!content) {
    if (content.error().errnum() != ENOENT) restored_.problem = content.error().message();
    content = Configuration();
  } else if (content->view() != options.view) {
    restored_.problem =
        options.path + ": is of the view \"" + content->view() + "\", not \"" + options.view + "\"";
    content = Configuration();
  } else {
    restore(*content);
  }
  writer_ = std::make_unique<CacheWriter>(options, *content, std::move(onResult));
  store_.observe(*this);
}

ResourceCache::~ResourceCache() {
  store_.unobserve(*this);
}

// In the order of the table: names are wanted before they come. What a setting wants no more is
// taken out of the file.
void ResourceCache::restore(Configuration& content) {
  for (const auto& cached : content.types()) {
    if (findResourceType(cached.type_url()) != nullptr) continue;
    for (const auto& one : cached.resources()) kept_[cached.type_url()][one.name()] = one.content();
  }
  for (const ResourceType& type : resourceTypes()) {
    for (auto& cached : *content.mutable_types()) {
      if (cached.type_url() != type.url) continue;
      if (type.bySetting && !store_.needs(type)) {
        cached.clear_resources();
        continue;
      }
      const ApplyResult result = store_.apply(updateOf(cached, clock_.wall()), clock_.monotonic());
      if (!result.ok()) {
        restored_.problem += (restored_.problem.empty() ? "" : "; ") + result.message();
      }
    }
  }
  restored_.writtenAt = Nanos(content.written_at_nanos());
}

std::map<std::string, std::string> ResourceCache::takeKept(std::string_view type) {
  auto found = kept_.extract(std::string(type));
  return found.empty() ? std::map<std::string, std::string>() : std::move(found.mapped());
}

void ResourceCache::keep(std::string_view type, const std::string& name, std::string content) {
  writer_->held(type, name, "", std::move(content), std::nullopt);
}

void ResourceCache::drop(std::string_view type, const std::string& name) {
  writer_->dropped(type, name);
}

void ResourceCache::held(const ResourceKey& key, const std::string& version,
                         std::string_view content, std::optional<Nanos> ttl) {
  std::optional<Nanos> expiresAt;
  if (ttl) expiresAt = clock_.wall() + *ttl;
  writer_->held(key.type->url, key.name, version, std::string(content), expiresAt);
}

void ResourceCache::dropped(const ResourceKey& key) {
  writer_->dropped(key.type->url, key.name);
}

}  // namespace sockmesh
