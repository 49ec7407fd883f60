// SPDX-License-Identifier: Apache-2.0
#include "ads/fetch_timers.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

void FetchTimers::update(const std::map<ResourceKey, Nanos>& missing) {
  std::erase_if(timers_, [&](const auto& timer) {
    if (missing.contains(timer.first)) return false;
    loop_.cancel(timer.second.id);
    return true;
  });
  for (const auto& [key, timeout] : missing) {
    const auto [entry, isNew] = timers_.emplace(key, Timer{0, timeout, Nanos(0)});
    if (isNew && running_) start(key, entry->second);
  }
}

void FetchTimers::pause() {
  running_ = false;
  const Nanos now = clock_.monotonic();
  for (auto& [key, timer] : timers_) {
    if (timer.id == 0) continue;
    loop_.cancel(std::exchange(timer.id, 0));
    timer.left = std::max(timer.end - now, Nanos(1));
  }
}

void FetchTimers::resume() {
  if (std::exchange(running_, true)) return;
  for (auto& [key, timer] : timers_) start(key, timer);
}

void FetchTimers::clear() {
  for (const auto& [key, timer] : timers_) loop_.cancel(timer.id);
  timers_.clear();
  running_ = false;
}

void FetchTimers::start(const ResourceKey& key, Timer& timer) {
  if (timer.left == Nanos(0)) return;
  timer.end = clock_.monotonic() + timer.left;
  timer.id = loop_.after(std::exchange(timer.left, Nanos(0)), [this, key] { fire(key); });
}

void FetchTimers::fire(const ResourceKey& key) {
  timers_[key].id = 0;
  onTimeout_(key);
}

}  // namespace sockmesh
