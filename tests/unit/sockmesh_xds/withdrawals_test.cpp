// SPDX-License-Identifier: Apache-2.0
#include "withdrawals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resources.h"

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// By file: the resources that it holds.
FolderContents folder(
    const std::vector<std::pair<std::string, std::vector<google::protobuf::Any>>>& files) {
  auto resources = std::make_shared<ResourceSet>();
  FolderContents contents;
  for (const auto& [file, all] : files) {
    contents.files.insert(file);
    for (const auto& any : all) {
      const Status added = resources->add(any.type_url(), resourceName(any).value(), any, file);
      EXPECT_TRUE(added);
    }
  }
  contents.resources = std::move(resources);
  return contents;
}

const google::protobuf::Any kA = testing::cluster("a");
const google::protobuf::Any kB = testing::cluster("b");
const google::protobuf::Any kListener = testing::listener("l");

TEST(Withdrawals, AFileThatIsGoneOrEmptyOrLostSomething) {
  const auto before = folder({{"gone.yaml", {kA}},
                              {"empty.yaml", {kListener}},
                              {"less.yaml", {kB, testing::cluster("c")}}});
  const auto now = folder({{"empty.yaml", {}}, {"less.yaml", {kB}}});
  EXPECT_THAT(withdrawals(before, now),
              ElementsAre("empty.yaml holds no resource any more, it had LDS \"l\"",
                          "gone.yaml is gone, and with it CDS \"a\"",
                          "less.yaml does not hold any more: CDS \"c\""));
}

TEST(Withdrawals, WhatMovedOrChangedIsServed) {
  const auto before = folder({{"one.yaml", {kA}}, {"two.yaml", {kB}}});
  const auto now = folder({{"three.yaml", {kA}}, {"two.yaml", {testing::cluster("b", 9)}}});
  EXPECT_THAT(withdrawals(before, now), IsEmpty());
}

TEST(Withdrawals, WhereNothingIsLeftThatIsSaid) {
  EXPECT_THAT(withdrawals(folder({{"a.yaml", {kA}}}), folder({})),
              ElementsAre("a.yaml is gone, and with it CDS \"a\"", "no resource is left"));
}

TEST(Withdrawals, ALongListIsCutWithItsNumber) {
  std::vector<google::protobuf::Any> many;
  for (int i = 10; i < 35; ++i) many.push_back(testing::cluster("c" + std::to_string(i)));
  const auto lines = withdrawals(folder({{"a.yaml", many}}), folder({{"a.yaml", {kA}}}));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("a.yaml does not hold any more: CDS \"c10\", ")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with("CDS \"c19\" and 15 more")) << lines[0];
}

}  // namespace
}  // namespace sockmesh
