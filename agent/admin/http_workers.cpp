// SPDX-License-Identifier: Apache-2.0
#include "admin/http_workers.h"

#include <utility>

namespace sockmesh {

HttpWorkers::HttpWorkers(std::size_t threads, std::size_t mostWaiting, const Task& onThread)
    : mostWaiting_(mostWaiting) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this, onThread] { serve(onThread); });
  }
}

HttpWorkers::~HttpWorkers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool HttpWorkers::run(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= mostWaiting_) return false;
    waiting_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void HttpWorkers::serve(const Task& onThread) {
  if (onThread) onThread();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace sockmesh
