// SPDX-License-Identifier: Apache-2.0
// An event loop on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/event_loop.h"

namespace sockmesh {

class LoopThread {
 public:
  // The thread runs at once. Signals are for other threads.
  static Result<std::unique_ptr<LoopThread>> create();
  // As stop().
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  EventLoop& loop() { return *loop_; }
  // Runs `task` on the thread and returns when it has run. From other threads, before stop().
  void run(const std::function<void()>& task);
  // Ends the loop and waits for the thread. Tasks that are still posted do not run. What belongs to
  // the thread may be used by the caller's thread afterwards.
  void stop();

 private:
  explicit LoopThread(std::unique_ptr<EventLoop> loop)
      : loop_(std::move(loop)), thread_([this] { loop_->run(); }) {}

  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
};

}  // namespace sockmesh
