// SPDX-License-Identifier: Apache-2.0
#include "model/shared_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using Map = SharedMap<int>;

std::map<std::string, int> contentsOf(const Map& map) {
  return {map.begin(), map.end()};
}

TEST(SharedMap, HoldsNamesInOrder) {
  Map map;
  map["b"] = 2;
  map["a"] = 1;
  map["b"] = 3;
  EXPECT_THAT(std::vector(map.begin(), map.end()), ElementsAre(Pair("a", 1), Pair("b", 3)));
  EXPECT_EQ(map.at("a"), 1);
  EXPECT_FALSE(map.contains("c"));
  EXPECT_EQ(map.find("c"), map.end());
  EXPECT_EQ(std::prev(map.end())->first, "b");
  EXPECT_EQ(map.erase("a"), 1U);
  EXPECT_EQ(map.erase("a"), 0U);
  EXPECT_EQ(map.begin()->first, "b");
}

TEST(SharedMap, ACopySharesEntriesUntilItsPartChanges) {
  SharedMap<std::shared_ptr<int>> map;
  for (int i = 0; i < 1000; ++i) map[std::to_string(i)] = std::make_shared<int>(i);
  const auto copy = map;
  map["500"] = nullptr;
  std::size_t shared = 0;
  for (const auto& [name, value] : copy) shared += &value == &map.find(name)->second ? 1 : 0;
  EXPECT_GT(shared, 900U);
  EXPECT_LT(shared, 1000U);
  EXPECT_EQ(*copy.at("500"), 500);
}

TEST(SharedMap, DoesWhatAPlainMapDoesAndLeavesItsCopiesAlone) {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Map map;
    std::map<std::string, int> plain;
    Map copy;
    std::map<std::string, int> copied;
    for (int step = 0; step < 5000; ++step) {
      const std::string name = std::to_string(random() % 1000);
      if (random() % (step < 2500 ? 4 : 2) == 0) {
        EXPECT_EQ(map.erase(name), plain.erase(name));
      } else {
        map[name] = plain[name] = step;
      }
      ASSERT_EQ(map.size(), plain.size());
      ASSERT_EQ(map.contains(name), plain.contains(name));
      if (step % 500 != 0) continue;
      ASSERT_EQ(contentsOf(map), plain);
      ASSERT_EQ(contentsOf(copy), copied);
      copy = map;
      copied = plain;
    }
    for (const auto& [name, value] : copied) map.erase(name);
    EXPECT_EQ(contentsOf(copy), copied);
  }
}

}  // namespace
}  // namespace sockmesh
