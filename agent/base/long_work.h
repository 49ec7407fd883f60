// SPDX-License-Identifier: Apache-2.0
// Work of an event loop that takes longer than a turn of the loop may: it runs in slices, and the
// loop's other tasks, timers and descriptors have their turns between two slices.
//
// The work has a thread of its own, so that it can pause wherever it is. The thread and the loop's
// thread never run at once: the loop waits while a slice runs. So the work may use whatever belongs
// to the loop's thread, also the loop itself, without locks.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>

#include "base/breather.h"
#include "base/event_loop.h"

namespace sockmesh {

// Work on no more services, endpoints and hosts than this is short: it takes one turn.
inline constexpr std::size_t kShortWork = 2000;

class LongWork {
 public:
  using Work = std::function<void(Breather& breathe)>;

  // A short task waits no longer than this, about. A pause costs some microseconds.
  static constexpr Nanos kSlice = std::chrono::microseconds(500);

  // `loop` outlives this. `slice`: how long a slice is, about.
  explicit LongWork(EventLoop& loop, Nanos slice = kSlice) : loop_(loop), slice_(slice) {}
  // Work in progress is done to its end, in one go; its `done` is not called.
  ~LongWork();
  LongWork(const LongWork&) = delete;
  LongWork& operator=(const LongWork&) = delete;

  // Runs the first slice at once and the others in later turns of the loop, then calls `done`. Only
  // when no work is in progress.
  void start(Work work, std::function<void()> done);
  // The same. Work that is not `isLong` is done at once, without a thread, which costs more than
  // it.
  void run(bool isLong, const Work& work, const std::function<void()>& done);
  bool inProgress() const { return job_ != nullptr; }

 private:
  struct Job;
  void runSlice();

  EventLoop& loop_;
  Nanos slice_;
  std::shared_ptr<Job> job_;  // posted tasks hold it weakly
};

}  // namespace sockmesh
