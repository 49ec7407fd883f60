#include "xds/fetch_timers.h"

namespace sockmesh {

void FetchTimers::update(const std::map<std::string, Nanos>& missing) {
  std::erase_if(timers_, [&](const auto& timer) {
    if (missing.contains(timer.first)) return false;
    loop_.cancel(timer.second);
    return true;
  });
  for (const auto& [name, timeout] : missing) {
    const auto [entry, isNew] = timers_.emplace(name, 0);
    if (!isNew || timeout == Nanos(0)) continue;
    entry->second = loop_.after(timeout, [this, edsName = name] { fire(edsName); });
  }
}

void FetchTimers::clear() {
  for (const auto& [name, id] : timers_) loop_.cancel(id);
  timers_.clear();
}

void FetchTimers::fire(const std::string& edsName) {
  timers_[edsName] = 0;
  onTimeout_(edsName);
}

}  // namespace sockmesh
