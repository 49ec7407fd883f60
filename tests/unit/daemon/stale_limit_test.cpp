// SPDX-License-Identifier: Apache-2.0
#include "daemon/stale_limit.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class StaleLimitTest : public ::testing::Test {
 protected:
  std::unique_ptr<StaleLimit> limit(std::optional<Nanos> after) {
    return std::make_unique<StaleLimit>(*loop_, StaleTime(globals_), after,
                                        [this] { loop_->stop(); });
  }
  Nanos left() const { return Nanos(static_cast<std::int64_t>(word_)) - SystemClock().monotonic(); }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
  sm_globals globals_{};
  __u64& word_ = globals_.stale_from_ns;
};

TEST_F(StaleLimitTest, WithoutALimitAnEarlierAgentsIsRemoved) {
  word_ = 17;
  const auto none = limit(std::nullopt);
  EXPECT_EQ(word_, 0U);
  none->setConnected(true);
  none->setConnected(false);
  EXPECT_EQ(word_, 0U);
  EXPECT_FALSE(none->stale());
}

TEST_F(StaleLimitTest, TimeRunsFromTheStartAndFromTheLossOfTheStream) {
  const auto one = limit(hours(1));
  EXPECT_GT(left(), hours(1) - std::chrono::minutes(1));
  EXPECT_LE(left(), hours(1));
  one->setConnected(true);
  word_ = 1;  // as if the stream had been there for long
  one->setConnected(false);
  EXPECT_GT(left(), hours(1) - std::chrono::minutes(1));
  EXPECT_FALSE(one->stale());
}

// Otherwise an agent that crashes again and again would never be stale.
TEST_F(StaleLimitTest, ANewAgentGoesOnWhereTheEarlierOneEnded) {
  const auto later = static_cast<__u64>(SystemClock().monotonic().count());
  word_ = later;
  const auto stale = limit(hours(1));
  EXPECT_EQ(word_, later);
  EXPECT_TRUE(stale->stale());
  stale->setConnected(true);
  EXPECT_FALSE(stale->stale());
  EXPECT_GT(left(), hours(1) - std::chrono::minutes(1));
}

TEST_F(StaleLimitTest, AShorterLimitThanTheEarlierOneCounts) {
  word_ = static_cast<__u64>((SystemClock().monotonic() + hours(10)).count());
  const auto one = limit(hours(1));
  EXPECT_LE(left(), hours(1));
}

TEST_F(StaleLimitTest, TheEndIsToldOnce) {
  const auto one = limit(milliseconds(20));
  loop_->run();  // until it is told
  EXPECT_TRUE(one->stale());
  EXPECT_LE(left(), Nanos(0));
}

// The programs must see a time that is not over for as long as the agent may take to renew it.
TEST_F(StaleLimitTest, WhileConnectedTheTimeIsMovedOn) {
  const auto one = limit(hours(1));
  one->setConnected(true);
  word_ = 1;
  loop_->after(2 * StaleLimit::kRenewal, [this] { loop_->stop(); });
  loop_->run();
  EXPECT_GT(left(), hours(1) - std::chrono::minutes(1));
  EXPECT_FALSE(one->stale());
}

}  // namespace
}  // namespace sockmesh
