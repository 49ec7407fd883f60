// SPDX-License-Identifier: Apache-2.0
#include "ads/fetch_timers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

std::map<ResourceKey, Nanos> of(const std::map<std::string, Nanos>& timeouts) {
  std::map<ResourceKey, Nanos> missing;
  for (const auto& [name, timeout] : timeouts) missing[{&resourceTypes()[0], name}] = timeout;
  return missing;
}

class FetchTimersTest : public ::testing::Test {
 protected:
  void run(Nanos time) {
    loop_->after(time, [this] { loop_->stop(); });
    loop_->run();
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  std::vector<std::string> fired_;
  FetchTimers timers_{*loop_, [this](const ResourceKey& key) { fired_.push_back(key.name); }};
};

TEST_F(FetchTimersTest, OnlyTimeWithAConnectionCounts) {
  timers_.update(of({{"before", milliseconds(1)}, {"never", Nanos(0)}}));
  timers_.resume();
  timers_.update(of({{"before", milliseconds(1)}, {"lost", milliseconds(1)}, {"never", Nanos(0)}}));
  timers_.pause();
  timers_.update(of({{"before", milliseconds(1)},
                     {"lost", milliseconds(1)},
                     {"never", Nanos(0)},
                     {"meanwhile", milliseconds(1)}}));
  run(milliseconds(20));
  EXPECT_THAT(fired_, testing::IsEmpty());
}

TEST_F(FetchTimersTest, TimeGoesOnWhereItStood) {
  timers_.resume();
  timers_.update(of({{"a", milliseconds(1)}, {"b", milliseconds(2)}}));
  timers_.pause();
  timers_.resume();
  timers_.resume();
  run(milliseconds(30));
  EXPECT_THAT(fired_, ElementsAre("a", "b"));
  EXPECT_TRUE(timers_.waiting({&resourceTypes()[0], "a"}));
}

TEST_F(FetchTimersTest, WhatHasFiredDoesNotFireAfterAReconnect) {
  timers_.resume();
  timers_.update(of({{"a", milliseconds(1)}}));
  loop_->after(milliseconds(5), [this] {
    timers_.pause();
    timers_.resume();
  });
  run(milliseconds(30));
  EXPECT_THAT(fired_, ElementsAre("a"));
}

}  // namespace
}  // namespace sockmesh
