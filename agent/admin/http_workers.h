// SPDX-License-Identifier: Apache-2.0
// A few threads that do work which may take long, with a bounded queue.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sockmesh {

class HttpWorkers {
 public:
  using Task = std::function<void()>;

  // Each thread calls `onThread` first. At most `mostWaiting` tasks wait for a thread.
  HttpWorkers(std::size_t threads, std::size_t mostWaiting, const Task& onThread);
  // Waits for the tasks that run. Tasks that wait are dropped.
  ~HttpWorkers();
  HttpWorkers(const HttpWorkers&) = delete;
  HttpWorkers& operator=(const HttpWorkers&) = delete;

  // From any thread. False: too many tasks wait, and `task` is not taken.
  bool run(Task task);

 private:
  void serve(const Task& onThread);

  std::size_t mostWaiting_;
  std::mutex mutex_;  // guards what follows, except threads_
  std::condition_variable wake_;
  std::deque<Task> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sockmesh
