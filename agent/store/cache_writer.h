// SPDX-License-Identifier: Apache-2.0
// Keeps the cache file at what is held. A thread of its own has a copy of all resources and writes
// the file, so the control thread pays for changes alone.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sockmesh/cache/v1/cache.pb.h"

namespace sockmesh {

class CacheWriter {
 public:
  struct Options {
    std::string path;
    std::string view;  // as in the file
    // Changes of this long are written at once, in one file.
    Nanos window = std::chrono::seconds(5);
  };
  // Gets what went wrong with a write, or "" after a write that went well again. Called on the
  // writer's thread.
  using OnResult = std::function<void(const std::string& problem)>;

  // `before` is what the file holds already.
  CacheWriter(Options options, const sockmesh::cache::v1::Configuration& before, OnResult onResult);
  // Writes what is due.
  ~CacheWriter();
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;

  // One thread. `expiresAt` is CLOCK_REALTIME.
  void held(std::string_view typeUrl, const std::string& name, std::string version,
            std::string content, std::optional<Nanos> expiresAt);
  void dropped(std::string_view typeUrl, const std::string& name);

 private:
  using Key = std::pair<std::string, std::string>;                              // type URL, name
  using Change = std::pair<Key, std::optional<sockmesh::cache::v1::Resource>>;  // nothing: dropped

  void put(Change change);
  void run();
  void take(std::vector<Change> changes);
  void write();

  Options options_;
  OnResult onResult_;
  std::map<Key, sockmesh::cache::v1::Resource> resources_;  // the writer's thread alone
  std::string problem_;                                     // the same
  std::mutex mutex_;                                        // guards what follows
  std::condition_variable changed_;
  std::vector<Change> changes_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sockmesh
