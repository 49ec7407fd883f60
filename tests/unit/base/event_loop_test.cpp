// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sockmesh {
namespace {

TEST(EventLoop, RunsPostedTasksInOrderAndTimersByDeadline) {
  auto loop = std::move(EventLoop::create()).value();
  std::vector<int> ran;
  loop->post([&] { ran.push_back(1); });
  loop->post([&] { ran.push_back(2); });
  loop->after(std::chrono::milliseconds(4), [&] {
    ran.push_back(4);
    loop->stop();
  });
  loop->after(std::chrono::milliseconds(2), [&] { ran.push_back(3); });
  loop->run();
  EXPECT_EQ(ran, (std::vector{1, 2, 3, 4}));
}

TEST(EventLoop, ACancelledTimerNeverFires) {
  auto loop = std::move(EventLoop::create()).value();
  bool fired = false;
  const auto id = loop->after(std::chrono::milliseconds(1), [&] { fired = true; });
  loop->cancel(id);
  loop->after(std::chrono::milliseconds(3), [&] { loop->stop(); });
  loop->run();
  EXPECT_FALSE(fired);
}

TEST(EventLoop, AnotherThreadsPostWakesIt) {
  auto loop = std::move(EventLoop::create()).value();
  std::thread other([&] { loop->post([&] { loop->stop(); }); });
  loop->run();  // would hang if the post were missed
  other.join();
}

TEST(EventLoop, AHandlerMayUnwatchItself) {
  auto loop = std::move(EventLoop::create()).value();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd in(ends[0]);
  const UniqueFd out(ends[1]);
  int calls = 0;
  ASSERT_TRUE(loop->watch(in.get(), [&] {
    ++calls;
    loop->unwatch(in.get());
    loop->after(std::chrono::milliseconds(2), [&] { loop->stop(); });
  }));
  ASSERT_EQ(::write(out.get(), "x", 1), 1);
  loop->run();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace sockmesh
