// SPDX-License-Identifier: Apache-2.0
// initial_fetch_timeout: how long a name that has been asked for may stay unanswered before its
// resource counts as absent. Only time with a connection to the control plane counts: a server that
// is away has not failed to answer. Lives on the loop's thread.
#pragma once

#include <functional>
#include <map>

#include "base/event_loop.h"
#include "store/resource_type.h"

namespace sockmesh {

class FetchTimers {
 public:
  // `onTimeout` gets the name. `loop` outlives the timers. Time stands until resume().
  FetchTimers(EventLoop& loop, std::function<void(const ResourceKey&)> onTimeout)
      : loop_(loop), onTimeout_(std::move(onTimeout)) {}
  ~FetchTimers() { clear(); }
  FetchTimers(const FetchTimers&) = delete;
  FetchTimers& operator=(const FetchTimers&) = delete;

  // Starts a timer for each name of `missing` that has none. Stops the timers of names that arrived
  // or are no longer wanted. A running timer is not restarted. A timeout of 0 waits for ever.
  void update(const std::map<ResourceKey, Nanos>& missing);
  // pause(): the connection is lost, and time stands. resume(): it is back, and time goes on.
  void pause();
  void resume();
  // Stops all timers, and time.
  void clear();

  // Whether `key` still waits for its first answer.
  bool waiting(const ResourceKey& key) const { return timers_.contains(key); }

 private:
  struct Timer {
    EventLoop::TimerId id = 0;  // 0: time stands, it waits for ever, or it has fired
    Nanos left{0};              // while time stands; 0: waits for ever, or has fired
    Nanos end{0};               // CLOCK_MONOTONIC; while it runs
  };
  void start(const ResourceKey& key, Timer& timer);
  void fire(const ResourceKey& key);

  EventLoop& loop_;
  std::function<void(const ResourceKey&)> onTimeout_;
  SystemClock clock_;
  std::map<ResourceKey, Timer> timers_;
  bool running_ = false;
};

}  // namespace sockmesh
