// SPDX-License-Identifier: Apache-2.0
// Resources that do not come from the control plane: local_resources of the configuration, with
// its files of clusters and listeners, and the files that clusters and listeners name for their
// endpoints and routes (path_config_source). A file that cannot be used leaves what it had before
// in force. Configuration thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sources/move_watch.h"
#include "stats/agent_stats.h"
#include "store/resource_store.h"
#include "store/update.h"

namespace sockmesh {

// A file with all resources of a type that is subscribed to by wildcard.
struct ListFile {
  const ResourceType* type = nullptr;
  std::string path;
};

// The resources of a file: an envoy.service.discovery.v3.DiscoveryResponse in YAML or JSON, or, if
// the name ends with .pb, in bytes. The update is for `type`, whatever the file says.
Result<Update> readResourceFile(const std::string& path, const ResourceType& type);

class FileSource {
 public:
  struct Options {
    std::vector<Update> statics;
    std::vector<ListFile> lists;
    bool alone = false;  // there is no control plane
  };
  // What is wrong, by path; nothing: all files are in force.
  using Problems = std::map<std::string, std::string>;

  // `onNews` is called when a file may have changed: then sync() is due. `loop` and `store` outlive
  // this.
  static Result<std::unique_ptr<FileSource>> create(EventLoop& loop, ResourceStore& store,
                                                    Options options, std::function<void()> onNews);

  // Puts local_resources and the lists into the store. Before anything else does, so that the names
  // are theirs.
  void begin();
  // Puts what is new of the files, and what is newly wanted of them, into the store. True where
  // that, or begin(), changed the snapshot.
  bool sync();
  const Problems& problems() const { return problems_; }
  // Adds what files may have and nobody could read: their names are not absent.
  void addUnknown(XdsStats& stats) const;

 private:
  FileSource(ResourceStore& store, Options options) : store_(store), options_(std::move(options)) {}

  void syncLists();
  void syncWanted(const ResourceType& type);
  bool movedNear(const std::string& path) const;
  // Nothing: the file cannot be read, which is noted.
  std::optional<Update> read(const std::string& path, const ResourceType& type);
  void take(const std::string& path, const Update& update);
  void note(const std::string& path, const std::string& problem);

  ResourceStore& store_;
  Options options_;
  std::unique_ptr<MoveWatch> watch_;
  bool changed_ = false;                                   // the snapshot, since sync()
  std::set<std::string> moved_;                            // directories, since sync()
  std::set<std::string> used_;                             // paths of files that were in force once
  std::map<std::string, std::set<ResourceKey>> rejected_;  // by path
  // Lists of which names belong to another source, which may give them up.
  std::map<std::string, Update> contested_;
  std::map<std::string_view, std::uint64_t> revisions_;  // of the names wanted, by type
  Problems problems_;
};

}  // namespace sockmesh
