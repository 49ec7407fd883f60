// SPDX-License-Identifier: Apache-2.0
// Everything about resources that time alone decides: how long a name may stay unanswered
// (initial_fetch_timeout), how long a type is held back for the first response of another type, and
// when a resource expires (Resource.ttl). Lives on the loop's thread.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "base/event_loop.h"
#include "xds/fetch_timers.h"
#include "xds/resource_store.h"

namespace sockmesh {

class ResourceTimers {
 public:
  struct Events {
    // A name stayed unanswered: its resource counts as absent now. `changed`: the snapshot differs.
    std::function<void(const ResourceKey& key, bool changed)> onFetchTimeout;
    // These resources expired and are removed from the store.
    std::function<void(const std::vector<ResourceKey>& expired)> onExpired;
    // A type was held back for long enough.
    std::function<void()> onMayAsk;
  };

  // A type that is asked for after another one is held back no longer than `firstResponseWait` on a
  // stream. `loop` and `store` outlive the timers.
  ResourceTimers(EventLoop& loop, ResourceStore& store, Nanos firstResponseWait, Events events);
  ~ResourceTimers() { stop(); }
  ResourceTimers(const ResourceTimers&) = delete;
  ResourceTimers& operator=(const ResourceTimers&) = delete;

  void start();
  // No event follows.
  void stop();

  // A stream was begun, has carried a request (so there is a connection), has ended.
  void onStreamBegun();
  void onSent() { fetches_.resume(); }
  void onStreamEnded();
  // A response of this type came.
  void onResponse(const ResourceType& type);
  // The first resource of this name was rejected. True where that changed the snapshot.
  bool onRejected(const ResourceKey& key);
  // To be called after each change of the store.
  void update();

  // Whether this type need not wait for the first response of another type (any more). Stays so
  // over streams.
  bool mayAsk(const ResourceType& type) const;

 private:
  void setExpiryTimer();

  EventLoop& loop_;
  ResourceStore& store_;
  Nanos firstResponseWait_;
  Events events_;
  FetchTimers fetches_;
  std::set<std::string_view> answered_;  // URLs of types whose first response came, or is overdue
  EventLoop::TimerId firstResponseTimer_ = 0;
  EventLoop::TimerId expiryTimer_ = 0;
  SystemClock clock_;
};

}  // namespace sockmesh
