// SPDX-License-Identifier: Apache-2.0
#include "served/path_glob.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

bool matches(const std::string& pattern, const std::string& path) {
  return PathGlob::parse(pattern).value().matches(pathNames(path));
}

bool mayMatchBelow(const std::string& pattern, const std::string& path) {
  return PathGlob::parse(pattern).value().mayMatchBelow(pathNames(path));
}

TEST(PathGlob, EachNameIsAPattern) {
  EXPECT_TRUE(matches("/kubepods.slice/*/kubepods-pod1_2*", "/kubepods.slice/a/kubepods-pod1_2.x"));
  EXPECT_TRUE(matches("/a?[0-9]", "/ab7"));
  EXPECT_TRUE(matches("/a/b/", "/a/b"));
  EXPECT_FALSE(matches("/a/*", "/a"));
  EXPECT_FALSE(matches("/a/*", "/a/b/c")) << "a star does not cross a slash";
  EXPECT_FALSE(matches("/a", "/b"));
}

TEST(PathGlob, TwoStarsAreAnyNumberOfNames) {
  EXPECT_TRUE(matches("/**/pod1", "/pod1"));
  EXPECT_TRUE(matches("/**/pod1", "/a/b/pod1"));
  EXPECT_TRUE(matches("/a/**", "/a/b/c"));
  EXPECT_TRUE(matches("/a/**/b/**/c", "/a/x/b/c"));
  EXPECT_FALSE(matches("/a/**/b/**/c", "/a/c/b"));
  EXPECT_FALSE(matches("/**/pod1", "/pod1/b"));
}

TEST(PathGlob, SaysWhereItIsWorthLooking) {
  EXPECT_TRUE(mayMatchBelow("/a/*/c", ""));
  EXPECT_TRUE(mayMatchBelow("/a/*/c", "/a"));
  EXPECT_TRUE(mayMatchBelow("/a/*/c", "/a/x"));
  EXPECT_FALSE(mayMatchBelow("/a/*/c", "/b"));
  EXPECT_FALSE(mayMatchBelow("/a/*/c", "/a/x/c"));
  EXPECT_TRUE(mayMatchBelow("/**/c", "/x/y/c"));
}

}  // namespace
}  // namespace sockmesh
