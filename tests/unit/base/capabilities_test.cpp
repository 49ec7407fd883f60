// SPDX-License-Identifier: Apache-2.0
#include "base/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include <thread>

namespace sockmesh {
namespace {

TEST(CapabilitiesTest, NamesAndSets) {
  const Capabilities some = {CAP_NET_ADMIN, CAP_BPF, 63};
  EXPECT_EQ(some.names(), "CAP_BPF, CAP_NET_ADMIN, CAP_63");
  EXPECT_EQ(Capabilities().names(), "");
  EXPECT_TRUE(some.has(CAP_BPF));
  EXPECT_FALSE(some.has(CAP_PERFMON));
  EXPECT_TRUE(some.has({CAP_BPF, CAP_NET_ADMIN}));
  EXPECT_FALSE(some.has({CAP_BPF, CAP_PERFMON}));
  EXPECT_EQ(some.without({CAP_BPF}).names(), "CAP_NET_ADMIN, CAP_63");
  EXPECT_TRUE(some.without(some).empty());
}

TEST(CapabilitiesTest, AThreadKeepsWhatItAsksForAndOthersKeepTheirs) {
  const Capabilities before = Capabilities::effective();
  std::thread([&] {
    ASSERT_TRUE(limitThread({CAP_BPF}));
    const Capabilities kept = Capabilities::effective();
    EXPECT_TRUE(Capabilities({CAP_BPF}).has(kept)) << kept.names();
    EXPECT_EQ(kept.has(CAP_BPF), before.has(CAP_BPF));
    // What is gone does not come back, also not in threads that it makes.
    EXPECT_TRUE(limitThread(before));
    EXPECT_EQ(Capabilities::effective(), kept);
    std::thread([&] { EXPECT_EQ(Capabilities::effective(), kept); }).join();
    EXPECT_TRUE(limitThread({}));
    EXPECT_TRUE(Capabilities::effective().empty());
  }).join();
  EXPECT_EQ(Capabilities::effective(), before);
}

TEST(CapabilitiesTest, OfAProcessByItsStatus) {
  const auto own = Capabilities::permittedIn("/proc/self/status");
  ASSERT_TRUE(own) << own.error().message();
  EXPECT_TRUE(own->has(Capabilities::effective()));
  EXPECT_FALSE(Capabilities::permittedIn("/proc/self/none"));
}

}  // namespace
}  // namespace sockmesh
