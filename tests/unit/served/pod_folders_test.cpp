// SPDX-License-Identifier: Apache-2.0
// Which cgroup is a pod's.
#include "served/pod_folders.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sockmesh {
namespace {

TEST(PodFolders, TellThePodsUidWhateverTheDriver) {
  const auto uidOf = [](const std::string& path) {
    const auto names = pathNames(path);
    const auto globs = podFolders();
    const bool found = std::any_of(globs.begin(), globs.end(),
                                   [&](const PathGlob& one) { return one.matches(names); });
    return found ? podUidOf(path).value_or("none") : "no folder";
  };
  const std::string uid = "1b9e-22";
  EXPECT_EQ(uidOf("/kubepods/pod1b9e-22"), uid);
  EXPECT_EQ(uidOf("/kubepods/burstable/pod1b9e-22"), uid);
  EXPECT_EQ(uidOf("/kubelet/kubepods/besteffort/pod1b9e-22"), uid);
  EXPECT_EQ(uidOf("/docker/0123/kubelet/kubepods/besteffort/pod1b9e-22"), uid);
  EXPECT_EQ(uidOf("/kubepods.slice/kubepods-pod1b9e_22.slice"), uid);
  EXPECT_EQ(uidOf("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b9e_22.slice"),
            uid);
  EXPECT_EQ(uidOf("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
                  "kubelet-kubepods-besteffort-pod1b9e_22.slice"),
            uid);
  EXPECT_EQ(uidOf("/kubepods/burstable"), "no folder");
  EXPECT_EQ(uidOf("/kubepods/burstable/pod1b9e-22/0123"), "no folder");
  EXPECT_EQ(uidOf("/system.slice/podman.service"), "no folder");
}

}  // namespace
}  // namespace sockmesh
