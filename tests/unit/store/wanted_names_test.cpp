// SPDX-License-Identifier: Apache-2.0
#include "store/wanted_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(WantedNames, ANameIsMissingUntilItArrives) {
  WantedNames names;
  names.add("a", seconds(3));
  EXPECT_THAT(names.names(), ElementsAre("a"));
  EXPECT_THAT(names.missing(), ElementsAre(Pair("a", seconds(3))));
  names.arrived("a");
  EXPECT_TRUE(names.hasArrived("a"));
  EXPECT_THAT(names.missing(), IsEmpty());
  names.arrived("stranger");
  EXPECT_FALSE(names.contains("stranger"));
}

TEST(WantedNames, TheLongestTimeOfItsVersionsCountsAndForEverIsLongest) {
  WantedNames names;
  names.add("a", seconds(3));
  names.add("a", seconds(7));
  EXPECT_THAT(names.missing(), ElementsAre(Pair("a", seconds(7))));
  names.add("a", seconds(0));
  EXPECT_THAT(names.missing(), ElementsAre(Pair("a", seconds(0))));
  names.remove("a", seconds(0));
  names.remove("a", seconds(7));
  EXPECT_THAT(names.missing(), ElementsAre(Pair("a", seconds(3))));
}

TEST(WantedNames, ANameIsReleasedWithItsLastVersion) {
  WantedNames names;
  names.add("a", seconds(3));
  names.add("a", seconds(3));
  names.arrived("a");
  names.remove("a", seconds(3));
  EXPECT_THAT(names.takeReleased(), IsEmpty());
  names.remove("a", seconds(3));
  EXPECT_FALSE(names.contains("a"));
  EXPECT_THAT(names.takeReleased(), ElementsAre("a"));
  names.add("a", seconds(3));
  EXPECT_FALSE(names.hasArrived("a")) << "it has to come again";
}

TEST(WantedNames, ANameThatPassesFromOneVersionToAnotherStaysKnown) {
  WantedNames names;
  names.add("a", seconds(3));
  names.arrived("a");
  const auto before = names.revision();
  names.remove("a", seconds(3));
  names.add("a", seconds(5));
  EXPECT_THAT(names.takeReleased(), IsEmpty());
  EXPECT_TRUE(names.hasArrived("a"));
  EXPECT_EQ(names.revision(), before);
}

}  // namespace
}  // namespace sockmesh
