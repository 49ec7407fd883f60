// SPDX-License-Identifier: Apache-2.0
#include "base/number_text.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

TEST(NumberText, ForPeopleHasAtMostOneDecimal) {
  EXPECT_EQ(shortText(2), "2");
  EXPECT_EQ(shortText(1.5), "1.5");
  EXPECT_EQ(shortText(33.333), "33.3");
  EXPECT_EQ(shortText(0.04), "0");
}

TEST(NumberText, ForMachinesReadsBackAsTheSameNumber) {
  for (const double value : {0.0, 1.0, 0.25, 1.0 / 3, 1e-7, 65536.0, 1e20}) {
    EXPECT_EQ(std::stod(exactText(value)), value);
  }
  EXPECT_EQ(exactText(1), "1.0");
  EXPECT_EQ(exactText(0.1), "0.1");
}

}  // namespace
}  // namespace sockmesh
