// SPDX-License-Identifier: Apache-2.0
#include "base/rare.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sockmesh {
namespace {

TEST(Rare, IsTheEmptyValueUntilItIsSet) {
  Rare<std::string> text;
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(*text, "");
  EXPECT_TRUE(text == Rare<std::string>(std::string()));
  EXPECT_EQ(sizeof(text), sizeof(void*));
}

TEST(Rare, ACopyIsItsOwn) {
  Rare<std::vector<int>> first(std::vector<int>{1});
  Rare<std::vector<int>> second = first;
  second.edit().push_back(2);
  EXPECT_EQ(first->size(), 1U);
  EXPECT_EQ(second->size(), 2U);
  EXPECT_FALSE(first == second);
  first = second;
  EXPECT_TRUE(first == second);
  first = std::vector<int>();
  EXPECT_TRUE(first.empty());
}

TEST(RareOptional, IsNothingUntilItIsSet) {
  RareOptional<std::string> text;
  EXPECT_FALSE(text);
  text = std::string();
  EXPECT_TRUE(text.has_value()) << "an empty value is a value";
  RareOptional<std::string> copy = text;
  copy->append("a");
  EXPECT_EQ(*text, "");
  EXPECT_FALSE(copy == text);
  copy.reset();
  EXPECT_FALSE(copy == text);
  copy.emplace();
  EXPECT_TRUE(copy == text);
}

}  // namespace
}  // namespace sockmesh
