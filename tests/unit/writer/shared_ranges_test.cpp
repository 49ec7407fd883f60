// SPDX-License-Identifier: Apache-2.0
#include "writer/shared_ranges.h"

#include <gtest/gtest.h>

#include <map>

#include "lb/tables.h"

namespace sockmesh {
namespace {

using Cells = SharedRanges<sm_cell>;

Cells::Content cells(std::size_t count, std::uint32_t word = 1) {
  auto run = std::make_shared<std::vector<sm_cell>>(count);
  for (std::size_t i = 0; i < count; ++i) (*run)[i].words[0] = word + static_cast<__u32>(i);
  return run;
}

class SharedRangesTest : public ::testing::Test {
 protected:
  std::uint32_t acquire(const Cells::Content& run) {
    Breather never;
    return *ranges_.acquire(run, never);
  }
  // As long work does it, with a pause wherever one is possible.
  template <typename Pause>
  std::uint32_t acquireWithPauses(const Cells::Content& run, Pause pause) {
    Breather breathe(Nanos(0), pause);
    return *ranges_.acquire(run, breathe);
  }

  std::map<std::uint32_t, sm_cell> kernel_;
  std::size_t written_ = 0;
  Cells ranges_{1, 10'000'000,
                [this](std::uint32_t first, std::span<const sm_cell> part) -> Status {
                  written_ += part.size();
                  for (const sm_cell& cell : part) kernel_[first++] = cell;
                  return {};
                }};
};

TEST_F(SharedRangesTest, EqualContentIsWrittenOnceAndFreedWithItsLastReference) {
  const auto first = acquire(cells(5));
  EXPECT_EQ(acquire(cells(5)), first);
  EXPECT_NE(acquire(cells(5, 7)), first);
  EXPECT_EQ(written_, 10u);
  EXPECT_EQ(ranges_.references(first), 2u);
  EXPECT_FALSE(ranges_.release(first));
  const auto freed = ranges_.release(first);
  ASSERT_TRUE(freed);
  EXPECT_EQ(freed->size(), 5u);
  EXPECT_FALSE(ranges_.contains(first));
  EXPECT_EQ(acquire(cells(5, 9)), first) << "the room is used again";
}

TEST_F(SharedRangesTest, ContentOfAnyLengthIsWrittenWhole) {
  for (const std::size_t count : {Cells::kPart - 1, Cells::kPart, 3 * Cells::kPart + 17}) {
    const auto run = cells(count, static_cast<std::uint32_t>(count));
    const auto first = acquire(run);
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_EQ(kernel_.at(first + i).words[0], (*run)[i].words[0]) << count << ", " << i;
    }
  }
}

// However long a range is, others have their turns while it is hashed, compared and written.
TEST_F(SharedRangesTest, NoStepGrowsWithTheRange) {
  const auto run = cells(64 * Cells::kPart);
  std::size_t seen = 0, most = 0, pauses = 0;
  const auto pause = [&] {
    ++pauses;
    most = std::max(most, written_ - std::exchange(seen, written_));
  };
  const auto first = acquireWithPauses(run, pause);
  EXPECT_EQ(written_, run->size());
  EXPECT_LE(most, 16 * Cells::kPart);
  const std::size_t toWrite = std::exchange(pauses, 0);
  EXPECT_GE(toWrite, 8u) << "64 parts hashed and 64 written, and a look at the clock at 16";
  EXPECT_EQ(acquireWithPauses(cells(64 * Cells::kPart), pause), first);
  EXPECT_GE(pauses, 8u) << "64 parts hashed and 64 compared";
}

TEST_F(SharedRangesTest, ARangeThatIsFreedWhileItIsComparedIsWrittenAgain) {
  const auto run = cells(64 * Cells::kPart);
  const auto first = acquire(run);
  int pauses = 0;
  const auto again = acquireWithPauses(cells(64 * Cells::kPart), [&] {
    if (++pauses != 6) return;
    EXPECT_TRUE(ranges_.release(first));
  });
  EXPECT_GE(pauses, 6);
  EXPECT_EQ(written_, 2 * run->size());
  EXPECT_EQ(ranges_.references(again), 1u);
}

TEST_F(SharedRangesTest, AdoptedRangesAreKnownByTheirContent) {
  EXPECT_TRUE(ranges_.adopt(100, cells(5)));
  EXPECT_TRUE(ranges_.adopt(100, cells(5))) << "by a second group";
  EXPECT_FALSE(ranges_.adopt(100, cells(5, 2))) << "another content in the same place";
  EXPECT_FALSE(ranges_.adopt(103, cells(5, 3))) << "overlaps";
  EXPECT_EQ(acquire(cells(5)), 100u);
  EXPECT_EQ(ranges_.references(100), 3u);
  EXPECT_EQ(written_, 0u);
}

}  // namespace
}  // namespace sockmesh
