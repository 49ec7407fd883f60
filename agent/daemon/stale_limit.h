// SPDX-License-Identifier: Apache-2.0
// ads.stale_after: how long what the control plane said counts after it was heard last. Then the
// programs leave connections to services alone, and they go where another load balancer of the
// node (kube-proxy) sends them. The programs go by a time in the maps, so the limit also holds when
// the agent is dead. Control thread.
#pragma once

#include <functional>
#include <optional>

#include "base/event_loop.h"
#include "maps/stale_time.h"

namespace sockmesh {

class StaleLimit {
 public:
  // How often the time is moved on while the control plane is heard.
  static constexpr Nanos kRenewal = std::chrono::seconds(1);

  // `time` is what the programs read, and an earlier agent may have set it. Without `after` it
  // becomes 0 (never), and all else does nothing. With it, time runs from now on, or goes on from
  // where the earlier agent left it, whichever ends first. `onChange` is called, from the loop,
  // when stale() has changed. `loop` outlives this.
  StaleLimit(EventLoop& loop, StaleTime time, std::optional<Nanos> after,
             std::function<void()> onChange);
  ~StaleLimit();
  StaleLimit(const StaleLimit&) = delete;
  StaleLimit& operator=(const StaleLimit&) = delete;

  // Whether the control plane is heard. It is not, at first.
  void setConnected(bool connected);
  // Whether services are left alone now.
  bool stale() const { return stale_; }

 private:
  void tick();
  void judge();

  EventLoop& loop_;
  StaleTime time_;
  std::optional<Nanos> after_;
  std::function<void()> onChange_;
  SystemClock clock_;
  bool connected_ = false;
  bool stale_ = false;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace sockmesh
