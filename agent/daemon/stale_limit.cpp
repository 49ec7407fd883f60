// SPDX-License-Identifier: Apache-2.0
#include "daemon/stale_limit.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace sockmesh {

StaleLimit::StaleLimit(EventLoop& loop, StaleTime time, std::optional<Nanos> after,
                       std::function<void()> onChange)
    : loop_(loop), time_(time), after_(after), onChange_(std::move(onChange)) {
  if (!after_) {
    time_.set(Nanos(0));
    return;
  }
  // The time of an earlier agent with a longer limit does not count.
  const Nanos latest = clock_.monotonic() + *after_;
  const Nanos before = time_.get();
  time_.set(before == Nanos(0) ? latest : std::min(before, latest));
  stale_ = before != Nanos(0) && before <= clock_.monotonic();
  if (stale_) logger("main")->warn("services are left alone until the control plane is heard");
  tick();
}

StaleLimit::~StaleLimit() {
  loop_.cancel(timer_);
}

void StaleLimit::setConnected(bool connected) {
  if (!after_ || std::exchange(connected_, connected) == connected) return;
  time_.set(clock_.monotonic() + *after_);
  judge();
}

// One renewal more than the limit, so that an agent that dies before the next one is not stale too
// early.
void StaleLimit::tick() {
  if (connected_) time_.set(clock_.monotonic() + *after_ + kRenewal);
  judge();
  timer_ = loop_.after(kRenewal, [this] { tick(); });
}

void StaleLimit::judge() {
  const bool stale = time_.get() <= clock_.monotonic();
  if (std::exchange(stale_, stale) == stale) return;
  if (stale) {
    logger("main")->warn(
        "no word of the control plane for {} s (ads.stale_after): services are left alone",
        std::chrono::duration_cast<std::chrono::seconds>(*after_).count());
  } else {
    logger("main")->info("the control plane is heard again: services are balanced");
  }
  onChange_();
}

}  // namespace sockmesh
