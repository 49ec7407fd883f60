// SPDX-License-Identifier: Apache-2.0
#include "base/long_work.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "base/latest.h"
#include "base/loop_thread.h"

namespace sockmesh {
namespace {

// Steps until `breathe` has paused this often.
void pauseTimes(Breather& breathe, int pauses) {
  while (pauses > 0) pauses -= breathe() ? 1 : 0;
}

TEST(LongWork, OthersHaveTheirTurnsBetweenItsSlices) {
  auto loop = std::move(EventLoop::create()).value();
  LongWork work(*loop, Nanos(1));
  std::vector<char> ran;
  loop->post([&] {
    work.start(
        [&](Breather& breathe) {
          loop->post([&] { ran.push_back('o'); });
          loop->after(Nanos(0), [&] { ran.push_back('o'); });
          pauseTimes(breathe, 3);
          ran.push_back('w');
        },
        [&] {
          EXPECT_FALSE(work.inProgress());
          ran.push_back('d');
          loop->stop();
        });
    EXPECT_TRUE(work.inProgress());
  });
  loop->run();
  EXPECT_EQ(ran, (std::vector{'o', 'o', 'w', 'd'}));
}

TEST(LongWork, ShortWorkEndsAtOnceAndMoreMayFollow) {
  auto loop = std::move(EventLoop::create()).value();
  LongWork work(*loop, std::chrono::hours(1));
  int done = 0;
  for (int i = 0; i < 3; ++i) {
    work.start([](Breather& breathe) { breathe(); }, [&] { ++done; });
  }
  EXPECT_EQ(done, 3);
}

TEST(LongWork, EndsWithItsOwner) {
  auto loop = std::move(EventLoop::create()).value();
  bool ended = false;
  {
    LongWork work(*loop, Nanos(1));
    work.start(
        [&](Breather& breathe) {
          pauseTimes(breathe, 1);
          for (int i = 0; i < 1000; ++i) breathe();
          ended = true;
        },
        [] { ADD_FAILURE() << "its owner is gone"; });
    EXPECT_FALSE(ended);
  }
  EXPECT_TRUE(ended);
  loop->post([&] { loop->stop(); });
  loop->run();  // the slice that was posted finds nothing
}

TEST(Breather, WithoutAnyoneWaitingItNeverPauses) {
  Breather never;
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(never());
}

TEST(LoopThread, RunsTasksOnItsThread) {
  auto thread = std::move(LoopThread::create()).value();
  std::thread::id where;
  thread->run([&] { where = std::this_thread::get_id(); });
  EXPECT_NE(where, std::thread::id());
  EXPECT_NE(where, std::this_thread::get_id());
  thread->stop();
}

TEST(Latest, WhatWasNotTakenIsMerged) {
  auto loop = std::move(EventLoop::create()).value();
  std::vector<int> taken;
  auto sum = std::make_unique<Latest<int>>(
      *loop, [&](int value) { taken.push_back(value); },
      [](int& waiting, int later) { waiting += later; });
  std::thread other([&] {
    for (int i = 1; i <= 4; ++i) sum->put(i);
  });
  other.join();
  loop->post([&] {
    sum->put(5);
    loop->post([&] {
      sum->put(6);
      sum.reset();
      loop->post([&] { loop->stop(); });
    });
  });
  loop->run();
  EXPECT_EQ(taken, (std::vector{10, 5})) << "the last one came too late";
}

}  // namespace
}  // namespace sockmesh
