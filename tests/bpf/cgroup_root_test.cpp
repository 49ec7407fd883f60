// SPDX-License-Identifier: Apache-2.0
// Where the programs attach: the true root of cgroup v2, and no subtree that looks like the root.
#include <gtest/gtest.h>

#include <fstream>

#include "datapath/cgroup_root.h"
#include "support/sandbox.h"

namespace sockmesh::test {
namespace {

class CgroupRoots : public ::testing::Test {
 protected:
  void SetUp() override { sandbox_ = std::move(Sandbox::create()).value(); }

  std::string mountinfo(const std::string& lines) const {
    const std::string path = sandbox_->folder() + "/mountinfo";
    std::ofstream(path) << lines;
    return path;
  }
  static std::string line(const std::string& point, const std::string& type) {
    return "30 25 0:26 / " + point + " rw,relatime shared:9 - " + type + " none rw\n";
  }

  std::unique_ptr<Sandbox> sandbox_;
};

TEST_F(CgroupRoots, FindsTheTrueRootBesideV1) {
  const auto root = openCgroupRoot("");
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(root->id, 1u);
  const auto hybrid = openCgroupRoot(
      "", mountinfo(line("/sys/fs/cgroup/cpu", "cgroup") + line(sandbox_->cgroup(), "cgroup2") +
                    line(root->path, "cgroup2")));
  ASSERT_TRUE(hybrid) << hybrid.error().message();
  EXPECT_EQ(hybrid->path, root->path) << "a subtree that comes first is passed over";
}

TEST_F(CgroupRoots, RefusesANamespacesFalseRoot) {
  const auto root = openCgroupRoot("", mountinfo(line(sandbox_->cgroup(), "cgroup2")));
  ASSERT_FALSE(root);
  EXPECT_NE(root.error().message().find("cgroup namespace"), std::string::npos)
      << root.error().message();
  EXPECT_NE(root.error().message().find("--cgroup-root"), std::string::npos);
}

TEST_F(CgroupRoots, TakesADeclaredOneAtItsWordIfItIsCgroupV2) {
  const auto declared = openCgroupRoot(sandbox_->cgroup());
  ASSERT_TRUE(declared) << declared.error().message();
  EXPECT_NE(declared->id, 1u);
  EXPECT_FALSE(openCgroupRoot("/proc"));
  EXPECT_FALSE(openCgroupRoot("/nonexistent"));
}

TEST_F(CgroupRoots, SaysWhenThereIsNone) {
  const auto none = openCgroupRoot("", mountinfo(line("/sys/fs/cgroup/cpu", "cgroup")));
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("no cgroup v2 is mounted"), std::string::npos);
}

}  // namespace
}  // namespace sockmesh::test
