// SPDX-License-Identifier: Apache-2.0
// One thread's event loop: posted tasks, one-shot timers, descriptors that are readable
// or writable (epoll).
// Everything except post() and stop() is for the loop's own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "base/turn_times.h"
#include "base/unique_fd.h"

namespace sockmesh {

class EventLoop {
 public:
  using Task = std::function<void()>;
  using TimerId = std::uint64_t;  // never 0

  static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // From any thread: runs `task` on the loop's thread, in the order posted. Tasks that are still
  // queued when the loop stops are dropped with it.
  void post(Task task);
  // From any thread (not from a signal handler): run() returns after the current round.
  void stop();

  // Runs `task` once after `delay` (CLOCK_MONOTONIC). The id stays valid until it fires.
  TimerId after(Nanos delay, Task task);
  // An id that fired, was cancelled or is 0 is ignored.
  void cancel(TimerId id);

  // Calls `onReadable` while `fd` is readable (level triggered). The caller keeps owning `fd` and
  // calls unwatch() before closing it.
  Status watch(int fd, Task onReadable);
  // The same while `fd` is writable. A descriptor is watched for one of the three at a time.
  Status watchWritable(int fd, Task onWritable);
  // The same where `fd` has something urgent (EPOLLPRI), as a mount table that changed.
  Status watchUrgent(int fd, Task onUrgent);
  void unwatch(int fd);

  // Runs until stop().
  void run();

  // How long the loop was busy at a time: with what it found to do when it woke up. Any thread.
  const TurnTimes& turnTimes() const { return turnTimes_; }

 private:
  EventLoop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

  Status watchFor(int fd, std::uint32_t events, Task task);
  void runReady(int fd);
  void runPosted();
  void runTimers();
  int timeoutMillis() const;

  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<bool> stopped_{false};
  SystemClock clock_;

  std::mutex mutex_;  // guards posted_
  std::deque<Task> posted_;

  std::map<std::pair<Nanos, TimerId>, Task> timers_;
  std::unordered_map<TimerId, Nanos> deadlines_;
  TimerId nextTimer_ = 1;
  std::unordered_map<int, Task> watched_;
  TurnTimes turnTimes_;
};

}  // namespace sockmesh
