// SPDX-License-Identifier: Apache-2.0
#include "datapath/privileges.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include <initializer_list>

namespace sockmesh {
namespace {

std::string problemWith(std::initializer_list<int> held) {
  std::uint64_t effective = 0;
  for (const int capability : held) effective |= std::uint64_t{1} << capability;
  const Status checked = checkCapabilities(effective);
  return checked ? "" : checked.error().message();
}

TEST(Privileges, ThreeCapabilitiesSuffice) {
  EXPECT_EQ(problemWith({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON}), "");
}

TEST(Privileges, EachMissingOneIsNamedWithItsPurpose) {
  EXPECT_EQ(problemWith({CAP_BPF, CAP_NET_ADMIN}),
            "capabilities are missing: CAP_PERFMON to read how connections end, from the kernel's "
            "own structs (run as root, or in a pod with securityContext.capabilities.add)");
  const std::string none = problemWith({});
  for (const char* name : {"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}) {
    EXPECT_NE(none.find(name), std::string::npos) << none;
  }
}

TEST(Privileges, AnAdministratorNeedsNetAdminBeside) {
  EXPECT_EQ(problemWith({CAP_SYS_ADMIN, CAP_NET_ADMIN}), "");
  EXPECT_NE(problemWith({CAP_SYS_ADMIN}).find("CAP_NET_ADMIN"), std::string::npos);
}

}  // namespace
}  // namespace sockmesh
