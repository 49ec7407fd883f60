// SPDX-License-Identifier: Apache-2.0
// Hands values from one thread to the loop of another. Nothing queues up: what the loop has not
// taken yet is merged with what comes after it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/event_loop.h"

namespace sockmesh {

template <typename T>
class Latest {
 public:
  // Adds what came later to what waits.
  using Merge = std::function<void(T& waiting, T later)>;

  // `loop` outlives this. `take` is called on the loop's thread. Merging replaces, if not said
  // otherwise. Destroy it on the loop's thread.
  Latest(
      EventLoop& loop, std::function<void(T)> take,
      Merge merge = [](T& waiting, T later) { waiting = std::move(later); })
      : state_(std::make_shared<State>()), loop_(loop), merge_(std::move(merge)) {
    state_->take = std::move(take);
  }
  ~Latest() { state_->take = nullptr; }
  Latest(const Latest&) = delete;
  Latest& operator=(const Latest&) = delete;

  // From one other thread.
  void put(T value) {
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->waiting) return merge_(*state_->waiting, std::move(value));
      state_->waiting = std::move(value);
    }
    loop_.post([state = state_] { state->deliver(); });
  }

 private:
  struct State {
    std::mutex mutex;  // guards `waiting`
    std::optional<T> waiting;
    std::function<void(T)> take;  // the loop's thread alone; null: the Latest is gone

    void deliver() {
      std::optional<T> value;
      {
        const std::lock_guard lock(mutex);
        value = std::exchange(waiting, std::nullopt);
      }
      if (value && take) take(*std::move(value));
    }
  };

  std::shared_ptr<State> state_;
  EventLoop& loop_;
  Merge merge_;
};

}  // namespace sockmesh
