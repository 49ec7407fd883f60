// initial_fetch_timeout of EDS clusters: how long a name that has been asked for may stay
// unanswered before its cluster counts as having no endpoints. Lives on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/event_loop.h"

namespace sockmesh {

class FetchTimers {
 public:
  // `onTimeout` gets the EDS name. `loop` outlives the timers.
  FetchTimers(EventLoop& loop, std::function<void(const std::string&)> onTimeout)
      : loop_(loop), onTimeout_(std::move(onTimeout)) {}
  ~FetchTimers() { clear(); }
  FetchTimers(const FetchTimers&) = delete;
  FetchTimers& operator=(const FetchTimers&) = delete;

  // Starts the timer of each name of `missing` that has none, and stops those of names that arrived
  // or are wanted no more. A running timer is not restarted; a timeout of 0 waits for ever.
  void update(const std::map<std::string, Nanos>& missing);
  // Stops all timers.
  void clear();

  // Whether `edsName` still waits for its first answer.
  bool waiting(const std::string& edsName) const { return timers_.contains(edsName); }

 private:
  void fire(const std::string& edsName);

  EventLoop& loop_;
  std::function<void(const std::string&)> onTimeout_;
  std::map<std::string, EventLoop::TimerId> timers_;  // 0: waits for ever, or has fired
};

}  // namespace sockmesh
