// SPDX-License-Identifier: Apache-2.0
// Waits until no program can still see what was unpublished. An update of an element of an
// array-of-maps returns only when every program that was running has ended (since Linux 4.20; about
// 8 ms). membarrier(2) would not do: it waits for nothing on a machine with one CPU.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

class GracePeriod {
 public:
  virtual ~GracePeriod() = default;
  // Calls `then` once, later or at once, after a grace period that begins now or later.
  virtual void after(std::function<void()> then) = 0;
};

// Waits in the caller's thread, and calls `then` before it returns.
class BlockingGracePeriod final : public GracePeriod {
 public:
  static Result<std::unique_ptr<BlockingGracePeriod>> create();
  void after(std::function<void()> then) override;

 private:
  BlockingGracePeriod(UniqueFd outer, UniqueFd inner)
      : outer_(std::move(outer)), inner_(std::move(inner)) {}
  UniqueFd outer_;
  UniqueFd inner_;
};

// Waits in a thread of its own, one grace period for all callers that asked meanwhile, and hands
// the continuations to `post` (an EventLoop's). Continuations that still wait at destruction are
// dropped.
class BackgroundGracePeriod final : public GracePeriod {
 public:
  using Post = std::function<void(std::function<void()>)>;
  static Result<std::unique_ptr<BackgroundGracePeriod>> create(Post post);
  ~BackgroundGracePeriod() override;
  void after(std::function<void()> then) override;

 private:
  BackgroundGracePeriod(std::unique_ptr<BlockingGracePeriod> wait, Post post);
  void run();

  std::unique_ptr<BlockingGracePeriod> wait_;
  Post post_;
  std::mutex mutex_;  // guards waiting_ and stopping_
  std::condition_variable wake_;
  std::vector<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace sockmesh
