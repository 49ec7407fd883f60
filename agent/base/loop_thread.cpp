// SPDX-License-Identifier: Apache-2.0
#include "base/loop_thread.h"

#include <semaphore>

namespace sockmesh {

Result<std::unique_ptr<LoopThread>> LoopThread::create() {
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  return std::unique_ptr<LoopThread>(new LoopThread(std::move(loop).value()));
}

LoopThread::~LoopThread() {
  stop();
}

void LoopThread::run(const std::function<void()>& task) {
  std::binary_semaphore done{0};
  loop_->post([&] {
    task();
    done.release();
  });
  done.acquire();
}

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

}  // namespace sockmesh
