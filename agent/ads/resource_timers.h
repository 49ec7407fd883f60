// SPDX-License-Identifier: Apache-2.0
// Everything about resources that time alone decides: how long a name may stay unanswered
// (initial_fetch_timeout), how long a type is held back for the first response of another type or
// after a stream that it may have ended, and when a resource expires (Resource.ttl). Lives on the
// loop's thread.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "ads/fetch_timers.h"
#include "base/event_loop.h"
#include "store/resource_store.h"

namespace sockmesh {

class ResourceTimers {
 public:
  struct Events {
    // A name stayed unanswered: its resource counts as absent now. `changed`: the snapshot differs.
    std::function<void(const ResourceKey& key, bool changed)> onFetchTimeout;
    // These resources expired and are removed from the store.
    std::function<void(const std::vector<ResourceKey>& expired)> onExpired;
    // A stream ended before it answered this type, which rests this long.
    std::function<void(const ResourceType& type, Nanos length)> onRest;
    // A type was held back for long enough.
    std::function<void()> onMayAsk;
  };

  struct Waits {
    // A type that is asked for after another one is held back no longer than this on a stream.
    Nanos firstResponse;
    // The first rest of a type that only adds to others (ResourceType::needed). A server may end
    // the stream because it does not know the type. Each rest is twice as long as the one before,
    // until the type is answered.
    Nanos rest;
    Nanos longestRest;
  };

  // `loop` and `store` outlive the timers.
  ResourceTimers(EventLoop& loop, ResourceStore& store, Waits waits, Events events);
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
  // This stream's first request of the type goes out.
  void onAsked(const ResourceType& type);
  // A response of this type came.
  void onResponse(const ResourceType& type);
  // The first resource of this name was rejected. True where that changed the snapshot.
  bool onRejected(const ResourceKey& key);
  // To be called after each change of the store.
  void update();

  // Whether this type need not wait for the first response of another type (any more), which stays
  // so over streams, and does not rest.
  bool mayAsk(const ResourceType& type) const;

 private:
  struct Rest {
    bool asked = false;  // on this stream, and not answered
    Nanos length{0};
    Nanos until{0};  // CLOCK_MONOTONIC
  };

  bool heldBack(const ResourceType& type) const;
  bool anyHeldBack() const;
  void setRestTimer();
  void setExpiryTimer();

  EventLoop& loop_;
  ResourceStore& store_;
  Waits waits_;
  Events events_;
  FetchTimers fetches_;
  std::set<std::string_view> answered_;  // URLs of types whose first response came, or is overdue
  std::map<const ResourceType*, Rest> rests_;
  EventLoop::TimerId restTimer_ = 0;
  EventLoop::TimerId firstResponseTimer_ = 0;
  EventLoop::TimerId expiryTimer_ = 0;
  SystemClock clock_;
};

}  // namespace sockmesh
