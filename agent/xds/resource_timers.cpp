// SPDX-License-Identifier: Apache-2.0
#include "xds/resource_timers.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

ResourceTimers::ResourceTimers(EventLoop& loop, ResourceStore& store, Nanos firstResponseWait,
                               Events events)
    : loop_(loop),
      store_(store),
      firstResponseWait_(firstResponseWait),
      events_(std::move(events)),
      fetches_(loop, [this](const ResourceKey& key) {
        events_.onFetchTimeout(key, store_.fetchTimedOut(key));
      }) {}

void ResourceTimers::start() {
  setExpiryTimer();
}

void ResourceTimers::stop() {
  loop_.cancel(std::exchange(firstResponseTimer_, 0));
  loop_.cancel(std::exchange(expiryTimer_, 0));
  fetches_.clear();
}

void ResourceTimers::onStreamBegun() {
  if (std::ranges::all_of(resourceTypes(), [this](const auto& type) { return mayAsk(type); })) {
    return;
  }
  firstResponseTimer_ = loop_.after(firstResponseWait_, [this] {
    firstResponseTimer_ = 0;
    for (const ResourceType& type : resourceTypes()) answered_.insert(type.url);
    events_.onMayAsk();
  });
}

void ResourceTimers::onStreamEnded() {
  fetches_.pause();
  loop_.cancel(std::exchange(firstResponseTimer_, 0));
}

void ResourceTimers::onResponse(const ResourceType& type) {
  answered_.insert(type.url);
}

// As Envoy: a rejection ends the wait for the first resource of a name, which counts as absent.
// Where the name is wanted by a new version of what serves, the version in force stays until the
// time-out.
bool ResourceTimers::onRejected(const ResourceKey& key) {
  return fetches_.waiting(key) && store_.fetchRejected(key);
}

void ResourceTimers::update() {
  if (std::ranges::all_of(resourceTypes(), [this](const auto& type) { return mayAsk(type); })) {
    loop_.cancel(std::exchange(firstResponseTimer_, 0));
  }
  setExpiryTimer();
  fetches_.update(store_.missing());
}

bool ResourceTimers::mayAsk(const ResourceType& type) const {
  return type.askedAfter.empty() || answered_.contains(type.askedAfter);
}

void ResourceTimers::setExpiryTimer() {
  loop_.cancel(std::exchange(expiryTimer_, 0));
  const auto next = store_.nextExpiry();
  if (!next) return;
  expiryTimer_ = loop_.after(std::max(*next - clock_.monotonic(), Nanos(0)), [this] {
    expiryTimer_ = 0;
    events_.onExpired(store_.expire(clock_.monotonic()));
  });
}

}  // namespace sockmesh
