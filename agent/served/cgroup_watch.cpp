// SPDX-License-Identifier: Apache-2.0
#include "served/cgroup_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.h"

namespace sockmesh {

Result<std::unique_ptr<CgroupWatch>> CgroupWatch::start(EventLoop& loop, std::string root,
                                                        std::vector<PathGlob> patterns,
                                                        OnChange onChange,
                                                        std::function<void()> onTurn) {
  std::unique_ptr<CgroupWatch> watch(new CgroupWatch(loop, std::move(root)));
  watch->patterns_ = std::move(patterns);
  watch->onChange_ = std::move(onChange);
  watch->onTurn_ = std::move(onTurn);
  watch->inotify_ = UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch->inotify_.valid()) return Error::fromErrno("inotify_init1", errno);
  CgroupWatch* self = watch.get();
  if (auto ok = loop.watch(self->inotify_.get(), [self] { self->readEvents(); }); !ok) {
    return ok.error();
  }
  self->enter("");
  return watch;
}

CgroupWatch::~CgroupWatch() {
  if (inotify_.valid()) loop_.unwatch(inotify_.get());
}

// Watches a folder below which something may match, and looks at what is in it. The watch comes
// first, so nothing that comes meanwhile is missed.
void CgroupWatch::enter(const std::string& path) {
  const std::vector<std::string> names = pathNames(path);
  if (std::ranges::none_of(patterns_, [&](const auto& p) { return p.mayMatchBelow(names); })) {
    return;
  }
  const std::string folder = root_ + path;
  const int watch = inotify_add_watch(inotify_.get(), folder.c_str(),
                                      IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK);
  if (watch >= 0) {
    folders_[watch] = path;
  } else if (errno != ENOENT && problem_.empty()) {
    problem_ = folder + " is not watched, so new cgroups go unnoticed: " + std::strerror(errno);
    logger("served")->error("{}", problem_);
  }
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    std::error_code gone;
    if (it->is_directory(gone)) look(path + "/" + it->path().filename().string());
  }
}

// Brings what is known of one cgroup up to date.
void CgroupWatch::look(const std::string& path) {
  struct stat status {};
  if (stat((root_ + path).c_str(), &status) != 0) return forget(path);
  const std::vector<std::string> names = pathNames(path);
  MatchedCgroup now{.id = status.st_ino, .patterns = {}};
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (patterns_[i].matches(names)) now.patterns.push_back(i);
  }
  if (!now.patterns.empty()) {
    const auto [known, added] = matches_.try_emplace(path, now);
    const MatchedCgroup before = std::exchange(known->second, now);
    if (added) onChange_({path, nullptr, &now});
    if (!added && before != now) onChange_({path, &before, &now});
  }
  enter(path);
}

void CgroupWatch::forget(const std::string& path) {
  const auto node = matches_.extract(path);
  if (node) onChange_({path, &node.mapped(), nullptr});
}

// Events were lost.
void CgroupWatch::lookAtAll() {
  std::vector<std::string> paths;
  for (const auto& [path, matched] : matches_) paths.push_back(path);
  for (const std::string& path : paths) {
    if (access((root_ + path).c_str(), F_OK) != 0) forget(path);
  }
  enter("");
}

void CgroupWatch::readEvents() {
  alignas(inotify_event) std::array<char, 16384> buffer{};
  const ssize_t got = read(inotify_.get(), buffer.data(), buffer.size());
  for (ssize_t at = 0; at < got;) {
    inotify_event event{};
    std::memcpy(&event, buffer.data() + at, sizeof(event));
    const char* name = buffer.data() + at + sizeof(event);
    take(event.wd, event.mask, event.len > 0 ? name : "");
    at += static_cast<ssize_t>(sizeof(event) + event.len);
  }
  if (got > 0) onTurn_();
}

void CgroupWatch::take(int watch, std::uint32_t mask, const std::string& name) {
  if ((mask & IN_Q_OVERFLOW) != 0) return lookAtAll();
  const auto folder = folders_.find(watch);
  if (folder == folders_.end()) return;
  if ((mask & IN_IGNORED) != 0) {
    folders_.erase(folder);
  } else if ((mask & IN_ISDIR) != 0) {
    // Also what is said to be gone: there may be a new one of the same name by now.
    look(folder->second + "/" + name);
  }
}

}  // namespace sockmesh
