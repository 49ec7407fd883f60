#include "xds/fetch_timers.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

void FetchTimers::update(const std::map<std::string, Nanos>& missing) {
  std::erase_if(timers_, [&](const auto& timer) {
    if (missing.contains(timer.first)) return false;
    loop_.cancel(timer.second.id);
    return true;
  });
  for (const auto& [name, timeout] : missing) {
    const auto [entry, isNew] = timers_.emplace(name, Timer{0, timeout, Nanos(0)});
    if (isNew && running_) start(name, entry->second);
  }
}

void FetchTimers::pause() {
  running_ = false;
  const Nanos now = clock_.monotonic();
  for (auto& [name, timer] : timers_) {
    if (timer.id == 0) continue;
    loop_.cancel(std::exchange(timer.id, 0));
    timer.left = std::max(timer.end - now, Nanos(1));
  }
}

void FetchTimers::resume() {
  if (std::exchange(running_, true)) return;
  for (auto& [name, timer] : timers_) start(name, timer);
}

void FetchTimers::clear() {
  for (const auto& [name, timer] : timers_) loop_.cancel(timer.id);
  timers_.clear();
  running_ = false;
}

void FetchTimers::start(const std::string& edsName, Timer& timer) {
  if (timer.left == Nanos(0)) return;
  timer.end = clock_.monotonic() + timer.left;
  timer.id = loop_.after(std::exchange(timer.left, Nanos(0)), [this, edsName] { fire(edsName); });
}

void FetchTimers::fire(const std::string& edsName) {
  timers_[edsName].id = 0;
  onTimeout_(edsName);
}

}  // namespace sockmesh
