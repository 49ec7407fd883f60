// SPDX-License-Identifier: Apache-2.0
#include "store/cache_writer.h"

#include "store/cache_file.h"

namespace sockmesh {

CacheWriter::CacheWriter(Options options, const sockmesh::cache::v1::Configuration& before,
                         OnResult onResult)
    : options_(std::move(options)), onResult_(std::move(onResult)) {
  for (const auto& type : before.types()) {
    for (const auto& resource : type.resources()) {
      resources_[{type.type_url(), resource.name()}] = resource;
    }
  }
  thread_ = std::thread([this] { run(); });
}

CacheWriter::~CacheWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void CacheWriter::held(std::string_view typeUrl, const std::string& name, std::string version,
                       std::string content, std::optional<Nanos> expiresAt) {
  sockmesh::cache::v1::Resource resource;
  resource.set_name(name);
  resource.set_version(std::move(version));
  resource.set_content(std::move(content));
  if (expiresAt) resource.set_expires_at_nanos(expiresAt->count());
  put({{std::string(typeUrl), name}, std::move(resource)});
}

void CacheWriter::dropped(std::string_view typeUrl, const std::string& name) {
  put({{std::string(typeUrl), name}, std::nullopt});
}

void CacheWriter::put(Change change) {
  const std::lock_guard lock(mutex_);
  changes_.push_back(std::move(change));
  if (changes_.size() == 1) changed_.notify_all();
}

void CacheWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !changes_.empty(); });
    // What belongs together comes together.
    changed_.wait_for(lock, options_.window, [this] { return ending_; });
    std::vector<Change> changes = std::exchange(changes_, {});
    const bool last = ending_;
    lock.unlock();
    if (!changes.empty()) {
      take(std::move(changes));
      write();
    }
    if (last) return;
    lock.lock();
  }
}

void CacheWriter::take(std::vector<Change> changes) {
  for (auto& [key, resource] : changes) {
    if (resource) {
      resources_[key] = *std::move(resource);
    } else {
      resources_.erase(key);
    }
  }
}

void CacheWriter::write() {
  sockmesh::cache::v1::Configuration content;
  content.set_written_at_nanos(SystemClock().wall().count());
  content.set_view(options_.view);
  sockmesh::cache::v1::Type* type = nullptr;
  for (const auto& [key, resource] : resources_) {
    if (type == nullptr || type->type_url() != key.first) {
      type = content.add_types();
      type->set_type_url(key.first);
    }
    *type->add_resources() = resource;
  }
  const Status written = writeCacheFile(options_.path, content);
  const std::string problem = written ? "" : written.error().message();
  if (std::exchange(problem_, problem) != problem) onResult_(problem);
}

}  // namespace sockmesh
