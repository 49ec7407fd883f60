// SPDX-License-Identifier: Apache-2.0
#include "sources/file_source.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/log.h"
#include "decode/file_names.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "protojson/yaml_json.h"

namespace sockmesh {
namespace {

std::string directoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> readText(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  // An empty file sets failbit on `text`, which is no error.
  if (file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad() || text.bad()) {
    return Error::fromErrno("cannot be read", errno == 0 ? EIO : errno);
  }
  return std::move(text).str();
}

// By its own name, which is the first part of the name by which it is known.
void nameResources(const std::string& path, const ResourceType& type, Update& update) {
  for (Envelope& envelope : update.resources) {
    if (envelope.typeUrl != type.url) continue;
    std::string name = envelope.name;
    const std::unique_ptr<google::protobuf::Message> proto(type.prototype->New());
    if (name.empty() && proto->ParseFromString(envelope.bytes)) name = type.nameOf(*proto);
    envelope.name = nameInFile(name, path);
  }
}

}  // namespace

Result<Update> readResourceFile(const std::string& path, const ResourceType& type) {
  const auto text = readText(path);
  if (!text) return text.error();
  envoy::service::discovery::v3::DiscoveryResponse response;
  if (path.ends_with(".pb")) {
    if (!response.ParseFromString(*text)) {
      return Error("is no serialized envoy.service.discovery.v3.DiscoveryResponse");
    }
  } else if (auto parsed = parseYamlOrJson(*text, response); !parsed) {
    return parsed.error();
  }
  Update update = updateOf(response);
  update.typeUrl = type.url;
  if (type.scope == ResourceType::Scope::kByName) nameResources(path, type, update);
  return update;
}

Result<std::unique_ptr<FileSource>> FileSource::create(EventLoop& loop, ResourceStore& store,
                                                       Options options,
                                                       std::function<void()> onNews) {
  std::unique_ptr<FileSource> source(new FileSource(store, std::move(options)));
  auto watch = MoveWatch::create(
      loop, [one = source.get(), onNews = std::move(onNews)](const std::string& directory) {
        one->moved_.insert(directory);
        onNews();
      });
  if (!watch) return watch.error();
  source->watch_ = std::move(watch).value();
  return source;
}

void FileSource::begin() {
  for (const Update& update : options_.statics) {
    const ApplyResult result = store_.apply(update, Nanos(0), ResourceSource::kStatic);
    // The configuration was checked, so nothing is rejected.
    if (!result.ok()) logger("xds")->error("local_resources: {}", result.message());
    changed_ = changed_ || result.changed;
  }
  for (const ListFile& list : options_.lists) {
    watch_->add(directoryOf(list.path));
    moved_.insert(directoryOf(list.path));
  }
  syncLists();
  moved_.clear();
}

bool FileSource::sync() {
  syncLists();
  for (const ResourceType& type : resourceTypes()) {
    if (type.scope == ResourceType::Scope::kByName) syncWanted(type);
  }
  moved_.clear();
  return std::exchange(changed_, false);
}

bool FileSource::movedNear(const std::string& path) const {
  return moved_.contains(directoryOf(path));
}

void FileSource::syncLists() {
  for (const ListFile& list : options_.lists) {
    if (movedNear(list.path)) {
      const auto update = read(list.path, *list.type);
      contested_.erase(list.path);
      if (update) take(list.path, *update);
    } else if (const auto contested = contested_.find(list.path); contested != contested_.end()) {
      take(list.path, Update(contested->second));
    }
  }
  const bool all = std::ranges::all_of(
      options_.lists, [this](const ListFile& list) { return used_.contains(list.path); });
  if (options_.alone && all) changed_ = store_.closeLists() || changed_;
}

// A file is read when it was moved, and when a version wants a name of it that has not come.
void FileSource::syncWanted(const ResourceType& type) {
  const bool newNames = std::exchange(revisions_[type.url], store_.wantedRevision(type)) !=
                        store_.wantedRevision(type);
  if (!newNames && moved_.empty()) return;
  std::map<std::string, std::vector<std::string>> due;  // names, by path
  for (std::string& name : store_.wantedOfFiles(type)) {
    const std::string path = fileResource(name)->path;
    watch_->add(directoryOf(path));
    if (movedNear(path) || !store_.hasArrived({&type, name})) due[path].push_back(std::move(name));
  }
  for (const auto& [path, names] : due) {
    const auto update = read(path, type);
    if (!update) continue;
    take(path, *update);
    // What the file does not have counts as absent, if it has never come.
    for (const std::string& name : names) {
      changed_ = store_.fetchTimedOut({&type, name}) || changed_;
    }
  }
}

std::optional<Update> FileSource::read(const std::string& path, const ResourceType& type) {
  auto update = readResourceFile(path, type);
  if (update) return std::move(update).value();
  note(path, update.error().message());
  return std::nullopt;
}

void FileSource::take(const std::string& path, const Update& update) {
  const ApplyResult result = store_.apply(update, Nanos(0), ResourceSource::kFile);
  if (result.contested) {
    contested_[path] = update;
  } else {
    contested_.erase(path);
  }
  std::set<ResourceKey> rejected;
  for (const RejectedResource& one : result.rejected) {
    rejected.insert({findResourceType(update.typeUrl), one.name});
  }
  // A list of which nothing could be used is as good as unread.
  const bool usable = result.ok() || !result.accepted.empty();
  const bool first = usable && used_.insert(path).second;
  const bool otherwise = std::exchange(rejected_[path], rejected) != rejected;
  changed_ = changed_ || result.changed || first || otherwise;
  note(path, result.message());
}

void FileSource::addUnknown(XdsStats& stats) const {
  for (XdsTypeStats& type : stats.types) {
    for (const ListFile& list : options_.lists) {
      const bool unread = list.type->shortName == type.type && !used_.contains(list.path);
      type.unnamedRejected = type.unnamedRejected || unread;
    }
    for (const auto& [path, keys] : rejected_) {
      for (const ResourceKey& key : keys) {
        if (key.type->shortName != type.type) continue;
        type.unnamedRejected = type.unnamedRejected || key.name.empty();
        if (!key.name.empty()) type.rejectedResources.push_back(key.name);
      }
    }
    std::ranges::sort(type.rejectedResources);
  }
}

// Logs what is new.
void FileSource::note(const std::string& path, const std::string& problem) {
  const auto known = problems_.find(path);
  if (problem.empty()) {
    if (known == problems_.end()) return;
    logger("xds")->info("{}: is in force", path);
    problems_.erase(known);
  } else if (known == problems_.end() || known->second != problem) {
    logger("xds")->warn("{}: {}; what it had before stays in force", path, problem);
    problems_[path] = problem;
  }
}

}  // namespace sockmesh
