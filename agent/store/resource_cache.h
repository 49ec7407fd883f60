// SPDX-License-Identifier: Apache-2.0
// The last accepted configuration, over restarts of the agent and of the node: what the cache file
// holds goes into the store at start, and what the store holds goes into the file.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "store/cache_writer.h"
#include "store/resource_store.h"

namespace sockmesh {

class ResourceCache final : public ResourceObserver {
 public:
  struct Restored {
    std::optional<Nanos> writtenAt;  // CLOCK_REALTIME; nothing: nothing was restored
    std::string problem;             // why not, and what of it was refused; "" where all is well
  };

  // Reads the file and applies it to `store`, which is empty and outlives the cache. Then writes
  // what changes. Resources whose TTL ended meanwhile are left out. Configuration thread.
  ResourceCache(ResourceStore& store, const CacheWriter::Options& options,
                CacheWriter::OnResult onResult);
  // Writes what is due.
  ~ResourceCache() override;

  const Restored& restored() const { return restored_; }

  // What the agent keeps in the file beside resources, under a type that is none of theirs: the
  // content by name as the file had it, once.
  std::map<std::string, std::string> takeKept(std::string_view type);
  void keep(std::string_view type, const std::string& name, std::string content);
  void drop(std::string_view type, const std::string& name);

 private:
  void held(const ResourceKey& key, const std::string& version, std::string_view content,
            std::optional<Nanos> ttl) override;
  void dropped(const ResourceKey& key) override;
  void restore(sockmesh::cache::v1::Configuration& content);

  ResourceStore& store_;
  SystemClock clock_;
  Restored restored_;
  std::map<std::string, std::map<std::string, std::string>> kept_;  // by type, of the file
  std::unique_ptr<CacheWriter> writer_;
};

}  // namespace sockmesh
