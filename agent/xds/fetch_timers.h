// initial_fetch_timeout of EDS clusters: how long a name that has been asked for may stay
// unanswered before its cluster counts as having no endpoints. Only time with a connection to the
// control plane counts: a server that is away has not failed to answer. Lives on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/event_loop.h"

namespace sockmesh {

class FetchTimers {
 public:
  // `onTimeout` gets the EDS name. `loop` outlives the timers. Time stands until resume().
  FetchTimers(EventLoop& loop, std::function<void(const std::string&)> onTimeout)
      : loop_(loop), onTimeout_(std::move(onTimeout)) {}
  ~FetchTimers() { clear(); }
  FetchTimers(const FetchTimers&) = delete;
  FetchTimers& operator=(const FetchTimers&) = delete;

  // Starts the timer of each name of `missing` that has none, and stops those of names that arrived
  // or are wanted no more. A running timer is not restarted; a timeout of 0 waits for ever.
  void update(const std::map<std::string, Nanos>& missing);
  // The connection is lost: time stands. It is back: time goes on from there.
  void pause();
  void resume();
  // Stops all timers, and time.
  void clear();

  // Whether `edsName` still waits for its first answer.
  bool waiting(const std::string& edsName) const { return timers_.contains(edsName); }

 private:
  struct Timer {
    EventLoop::TimerId id = 0;  // 0: time stands, it waits for ever, or it has fired
    Nanos left{0};              // while time stands; 0: waits for ever, or has fired
    Nanos end{0};               // CLOCK_MONOTONIC; while it runs
  };
  void start(const std::string& edsName, Timer& timer);
  void fire(const std::string& edsName);

  EventLoop& loop_;
  std::function<void(const std::string&)> onTimeout_;
  SystemClock clock_;
  std::map<std::string, Timer> timers_;
  bool running_ = false;
};

}  // namespace sockmesh
