// SPDX-License-Identifier: Apache-2.0
#include "sources/move_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sockmesh {
namespace {

constexpr std::uint32_t kEvents = IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
// The watch does not see the directory's path any more.
constexpr std::uint32_t kGone = IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF;

}  // namespace

Result<std::unique_ptr<MoveWatch>> MoveWatch::create(
    EventLoop& loop, std::function<void(const std::string& directory)> onMove) {
  UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return Error::fromErrno("inotify_init1", errno);
  const int fd = inotify.get();
  std::unique_ptr<MoveWatch> watch(new MoveWatch(loop, std::move(inotify), std::move(onMove)));
  if (auto ok = loop.watch(fd, [one = watch.get()] { one->onEvents(); }); !ok) return ok.error();
  return watch;
}

MoveWatch::~MoveWatch() {
  loop_.cancel(timer_);
  loop_.unwatch(inotify_.get());
}

void MoveWatch::add(const std::string& directory) {
  for (const auto& [watch, known] : directories_) {
    if (known == directory) return;
  }
  if (watch(directory)) return;
  absent_.insert(directory);
  retryLater();
}

bool MoveWatch::watch(const std::string& directory) {
  const int watch = inotify_add_watch(inotify_.get(), directory.c_str(), kEvents);
  if (watch < 0) return false;
  directories_[watch] = directory;
  return true;
}

void MoveWatch::retryLater() {
  if (timer_ != 0 || absent_.empty()) return;
  timer_ = loop_.after(kRetry, [this] {
    timer_ = 0;
    for (const std::string& directory : std::set<std::string>(absent_)) {
      if (!watch(directory)) continue;
      absent_.erase(directory);
      onMove_(directory);
    }
    retryLater();
  });
}

void MoveWatch::onEvents() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  std::set<std::string> moved;
  for (ssize_t length = 0; (length = read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
    for (ssize_t at = 0; at < length;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event) + event.len);
      const auto found = directories_.find(event.wd);
      if (found == directories_.end()) continue;
      moved.insert(found->second);
      if ((event.mask & kGone) == 0) continue;
      inotify_rm_watch(inotify_.get(), event.wd);
      absent_.insert(found->second);
      directories_.erase(found);
    }
  }
  for (const std::string& directory : moved) onMove_(directory);
  retryLater();
}

}  // namespace sockmesh
