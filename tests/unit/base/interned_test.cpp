// SPDX-License-Identifier: Apache-2.0
#include "base/interned.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/name.h"

namespace sockmesh {
namespace {

using Text = Interned<std::string>;

const std::string kLong(60, 'x');

TEST(Interned, EqualValuesAreOneObject) {
  const Text a(kLong);
  const Text b{std::string(kLong)};
  EXPECT_EQ(&*a, &*b);
  EXPECT_TRUE(a == b);
  EXPECT_TRUE(a == kLong);
  EXPECT_FALSE(a == Text(std::string("y")));
}

TEST(Interned, IsOrderedByValue) {
  EXPECT_TRUE(Text(std::string("a")) < Text(std::string("b")));
  EXPECT_TRUE(Text() < Text(std::string("a")));
}

TEST(Interned, ATextIsLookedUpInANameMapAsItIs) {
  NameMap<int> map;
  map["b"] = 2;
  map[kLong] = 3;
  EXPECT_EQ(map.find(std::string("b"))->second, 2);
  EXPECT_EQ(map.find(kLong)->second, 3);
  EXPECT_FALSE(map.contains(std::string("a")));
  EXPECT_TRUE(Name("a") < std::string("b"));
  EXPECT_TRUE(Name("b") == "b");
}

TEST(Interned, TheEmptyValueIsTheDefault) {
  EXPECT_TRUE(Text() == Text(std::string()));
  EXPECT_TRUE(Text()->empty());
}

TEST(Interned, AValueLivesAsLongAsItsLastHandle) {
  Text copy;
  {
    const Text first(kLong);
    copy = first;
    const Text& same = copy;
    copy = same;
  }
  EXPECT_EQ(*copy, kLong);
  const Text moved(std::move(copy));
  EXPECT_EQ(*moved, kLong);
}

// The last handle goes on one thread while another thread asks for the value.
TEST(Interned, ManyThreadsMakeAndDropTheSameValues) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 20'000; ++i) {
        const std::string value = kLong + std::to_string(i % 3);
        const Text text(value);
        const Text copy(text);
        if (*copy != value) ADD_FAILURE() << *copy;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace sockmesh
