// SPDX-License-Identifier: Apache-2.0
#include "writer/allocators.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

// extentAfter() says how far a table must reach: never less than what is handed out then.
TEST(IdAllocatorTest, TheExtentCoversWhatIsHandedOutNext) {
  IdAllocator ids(1, 100);
  EXPECT_EQ(ids.extentAfter(0), 1u);
  for (int i = 0; i < 10; ++i) ids.allocate();
  EXPECT_EQ(ids.extentAfter(0), 11u);
  ids.release(3);
  ids.release(4);
  EXPECT_EQ(ids.extentAfter(2), 11u) << "what was returned is used first";
  EXPECT_EQ(ids.extentAfter(5), 14u);
  EXPECT_EQ(ids.extentAfter(1000), 100u);
}

TEST(RangeAllocatorTest, TheExtentCoversWhatIsHandedOutNext) {
  RangeAllocator ranges(1, 100);
  EXPECT_EQ(ranges.extentAfter(0), 1u);
  const auto first = ranges.allocate(10);
  ranges.allocate(5);
  EXPECT_EQ(ranges.extentAfter(0), 16u);
  ranges.release(*first, 10);
  EXPECT_EQ(ranges.extentAfter(7), 23u) << "a hole is not counted on";
  EXPECT_EQ(ranges.extentAfter(1000), 100u);
  ranges.take(50, 50);
  EXPECT_EQ(ranges.extentAfter(1), 100u) << "used to its end";
}

}  // namespace
}  // namespace sockmesh
