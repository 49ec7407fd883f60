// SPDX-License-Identifier: Apache-2.0
#include "base/shared_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "base/name.h"

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

TEST(SharedMap, HoldsKeysOfAnyKind) {
  SharedMap<char, int> map;
  for (const int key : {3, 1, 2}) map[key] = static_cast<char>('a' + key);
  EXPECT_THAT(std::vector(map.begin(), map.end()),
              ElementsAre(Pair(1, 'b'), Pair(2, 'c'), Pair(3, 'd')));
  EXPECT_THROW((void)map.at(4), std::out_of_range);
  map.clear();
  EXPECT_TRUE(map.empty());
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

// By looking at everything.
std::set<std::string> differing(const Map& a, const Map& b) {
  std::set<std::string> names;
  for (const auto& [name, value] : a) {
    if (!b.contains(name) || b.at(name) != value) names.insert(name);
  }
  for (const auto& [name, value] : b) {
    if (!a.contains(name)) names.insert(name);
  }
  return names;
}

TEST(SharedMap, TellsWhatDiffersBetweenTwo) {
  std::mt19937 random(1);
  Map map;
  for (int step = 0; step < 20000; ++step) map[std::to_string(random() % 10000)] = step;
  for (int round = 0; round < 50; ++round) {
    const Map before = map;
    EXPECT_EQ(map, before);
    for (std::uint32_t i = random() % 200; i > 0; --i) {
      const std::string name = std::to_string(random() % 12000);
      random() % 2 == 0 ? void(map.erase(name)) : void(map[name] = static_cast<int>(i));
    }
    ASSERT_EQ(map.differing(before), differing(map, before)) << round;
    ASSERT_EQ(before.differing(map), differing(map, before)) << round;
    ASSERT_EQ(map == before, differing(map, before).empty());
  }
  EXPECT_EQ(map.differing({}).size(), map.size());
}

TEST(SharedMap, FindsWhatIsOrderedWithItsKeys) {
  SharedMap<int, Name> map;
  for (int i = 0; i < 3000; ++i) map[std::to_string(i)] = i;
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(map.at(std::to_string(i)), i);
  EXPECT_FALSE(map.contains(std::string("3000")));
  EXPECT_EQ(map.find(std::string("x")), map.end());
}

// Whatever the size, a change looks at few values of the copy before it.
TEST(SharedMap, WhatIsSharedIsNotCompared) {
  struct Counted {
    int value = 0;
    std::size_t* compared = nullptr;
    bool operator==(const Counted& other) const {
      ++*compared;
      return value == other.value;
    }
  };
  std::size_t compared = 0;
  SharedMap<Counted, int> map;
  for (int i = 0; i < 100'000; ++i) map[i] = {i, &compared};
  const auto before = map;
  map[50'000] = {1, &compared};
  EXPECT_THAT(map.differing(before), ElementsAre(50'000));
  EXPECT_LE(compared, 64U);
}

TEST(SharedMap, DoesWhatAPlainMapDoesAndLeavesItsCopiesAlone) {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Map map;
    std::map<std::string, int> plain;
    Map copy;
    std::map<std::string, int> copied;
    for (int step = 0; step < 20000; ++step) {
      const std::string name = std::to_string(random() % 6000);
      if (random() % (step < 10000 ? 4 : 2) == 0) {
        EXPECT_EQ(map.erase(name), plain.erase(name));
      } else {
        map[name] = plain[name] = step;
      }
      ASSERT_EQ(map.size(), plain.size());
      ASSERT_EQ(map.contains(name), plain.contains(name));
      if (step % 1000 != 0) continue;
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
