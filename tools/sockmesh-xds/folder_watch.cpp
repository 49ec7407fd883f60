// SPDX-License-Identifier: Apache-2.0
#include "folder_watch.h"

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace sockmesh {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kTreeEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                      IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kParentEvents =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

}  // namespace

Result<std::unique_ptr<FolderWatch>> FolderWatch::start(EventLoop& loop, fs::path folder,
                                                        OnChange onChange) {
  // "dir/" has an empty file name; its parent's events carry "dir".
  if (folder.filename().empty()) folder = folder.parent_path();
  std::unique_ptr<FolderWatch> watch(
      new FolderWatch(loop, fs::absolute(folder).lexically_normal(), std::move(onChange)));
  if (const Status status = watch->watchTree(); !status) return status.error();
  return watch;
}

FolderWatch::~FolderWatch() {
  loop_.cancel(timer_);
  if (inotify_.valid()) loop_.unwatch(inotify_.get());
}

Status FolderWatch::watchTree() {
  UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return Error::fromErrno("inotify_init1", errno);
  const int parent = inotify_add_watch(inotify.get(), folder_.parent_path().c_str(), kParentEvents);
  // If the folder is gone for a moment, an event of its parent says when it is back.
  const Status status = watchFolders(inotify.get());
  if (inotify_.valid()) loop_.unwatch(inotify_.get());
  inotify_ = std::move(inotify);
  parentWatch_ = parent;
  const Status watched = loop_.watch(inotify_.get(), [this] { onEvents(); });
  return watched ? status : watched;
}

Status FolderWatch::watchFolders(int inotify) const {
  if (inotify_add_watch(inotify, folder_.c_str(), kTreeEvents) < 0) {
    return Error::fromErrno(folder_.native(), errno);
  }
  std::error_code error;
  fs::recursive_directory_iterator entry(folder_, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    std::error_code ignored;
    const bool hidden = entry->path().filename().native().starts_with('.');
    if (hidden) {
      entry.disable_recursion_pending();
    } else if (entry->is_directory(ignored) && !entry->is_symlink(ignored) &&
               inotify_add_watch(inotify, entry->path().c_str(), kTreeEvents) < 0 &&
               errno != ENOENT) {
      return Error::fromErrno(entry->path().native(), errno);
    }
    entry.increment(error);
  }
  return {};
}

bool FolderWatch::drainEvents() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  bool matters = false;
  for (;;) {
    const ssize_t length = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (length <= 0) return matters;
    for (ssize_t at = 0; at < length;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      const std::string_view name = event.len > 0 ? buffer.data() + at + sizeof(event) : "";
      matters = matters || event.wd != parentWatch_ || name == folder_.filename().native();
      at += static_cast<ssize_t>(sizeof(event) + event.len);
    }
  }
}

void FolderWatch::onEvents() {
  if (!drainEvents()) return;
  const Nanos now = clock_.monotonic();
  if (timer_ == 0) firstEvent_ = now;
  loop_.cancel(timer_);
  const Nanos left = std::max(firstEvent_ + kLongestWait - now, Nanos(0));
  timer_ = loop_.after(std::min(kQuietTime, left), [this] { fire(); });
}

void FolderWatch::fire() {
  timer_ = 0;
  // Before the files are read, so that a change meanwhile is seen as the next one.
  const Status watched = watchTree();
  onChange_(watched);
}

}  // namespace sockmesh
