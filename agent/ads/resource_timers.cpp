// SPDX-License-Identifier: Apache-2.0
#include "ads/resource_timers.h"

#include <algorithm>
#include <utility>

namespace sockmesh {

ResourceTimers::ResourceTimers(EventLoop& loop, ResourceStore& store, Waits waits, Events events)
    : loop_(loop),
      store_(store),
      waits_(waits),
      events_(std::move(events)),
      fetches_(loop, [this](const ResourceKey& key) {
        events_.onFetchTimeout(key, store_.fetchTimedOut(key));
      }) {}

void ResourceTimers::start() {
  setExpiryTimer();
}

void ResourceTimers::stop() {
  loop_.cancel(std::exchange(firstResponseTimer_, 0));
  loop_.cancel(std::exchange(restTimer_, 0));
  loop_.cancel(std::exchange(expiryTimer_, 0));
  fetches_.clear();
}

void ResourceTimers::onStreamBegun() {
  if (!anyHeldBack()) return;
  firstResponseTimer_ = loop_.after(waits_.firstResponse, [this] {
    firstResponseTimer_ = 0;
    for (const ResourceType& type : resourceTypes()) answered_.insert(type.url);
    events_.onMayAsk();
  });
}

void ResourceTimers::onStreamEnded() {
  fetches_.pause();
  loop_.cancel(std::exchange(firstResponseTimer_, 0));
  for (auto& [type, rest] : rests_) {
    if (!std::exchange(rest.asked, false)) continue;
    rest.length = std::clamp(rest.length * 2, waits_.rest, waits_.longestRest);
    rest.until = clock_.monotonic() + rest.length;
    events_.onRest(*type, rest.length);
  }
  setRestTimer();
}

void ResourceTimers::onAsked(const ResourceType& type) {
  if (type.needed != nullptr) rests_[&type].asked = true;
}

void ResourceTimers::onResponse(const ResourceType& type) {
  answered_.insert(type.url);
  rests_.erase(&type);
}

void ResourceTimers::setRestTimer() {
  loop_.cancel(std::exchange(restTimer_, 0));
  const Nanos now = clock_.monotonic();
  std::optional<Nanos> first;
  for (const auto& [type, rest] : rests_) {
    if (rest.until > now) first = std::min(first.value_or(rest.until), rest.until);
  }
  if (!first) return;
  restTimer_ = loop_.after(*first - now, [this] {
    restTimer_ = 0;
    setRestTimer();
    events_.onMayAsk();
  });
}

// As Envoy: a rejection ends the wait for the first resource of a name, which counts as absent.
// Where the name is wanted by a new version of what serves, the version in force stays until the
// time-out.
bool ResourceTimers::onRejected(const ResourceKey& key) {
  return fetches_.waiting(key) && store_.fetchRejected(key);
}

void ResourceTimers::update() {
  if (!anyHeldBack()) loop_.cancel(std::exchange(firstResponseTimer_, 0));
  setExpiryTimer();
  fetches_.update(store_.missing());
}

bool ResourceTimers::heldBack(const ResourceType& type) const {
  return !type.askedAfter.empty() && !answered_.contains(type.askedAfter);
}

bool ResourceTimers::anyHeldBack() const {
  return std::ranges::any_of(resourceTypes(), [this](const auto& type) { return heldBack(type); });
}

bool ResourceTimers::mayAsk(const ResourceType& type) const {
  const auto rest = rests_.find(&type);
  const bool rests = rest != rests_.end() && rest->second.until > clock_.monotonic();
  return !heldBack(type) && !rests;
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
