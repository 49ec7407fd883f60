// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "lb/policy/configured_policy.h"
#include "lb/table_check.h"

namespace sockmesh {
namespace {

// What people read is what they configured.
TEST(PolicyTable, ThePolicyOfAClusterHasTheNameThatEnvoyGivesIt) {
  for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kLeastRequest, LbPolicy::kRandom,
                                LbPolicy::kRingHash, LbPolicy::kMaglev}) {
    ASSERT_NE(configuredPolicy(policy), nullptr);
    EXPECT_EQ(configuredPolicy(policy)->name(), policyName(policy));
    EXPECT_EQ(configuredPolicy(policy)->usesHash(), usesHash(policy)) << policyName(policy);
  }
  EXPECT_EQ(configuredPolicy(LbPolicy::kClusterProvided), nullptr);
}

TEST(PolicyTable, EachNumberOfTheKernelHasItsOwnPolicy) {
  for (std::uint32_t a = SM_POLICY_LEAVE_ALONE; a <= SM_POLICY_BY_HASH; ++a) {
    EXPECT_NE(policyOf(a).name(), "unknown") << a;
    for (std::uint32_t b = SM_POLICY_LEAVE_ALONE; b < a; ++b) {
      EXPECT_NE(policyOf(a).name(), policyOf(b).name()) << a << " and " << b;
    }
  }
}

TEST(PolicyTable, TablesOfAPolicyThatThisBuildDoesNotKnowAreBroken) {
  auto group = std::make_shared<LbGroup>();
  group->policy = static_cast<sm_policy>(SM_POLICY_BY_HASH + 1);
  LbService service;
  service.groups = {group};
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: policy: 8 is not known");
  EXPECT_EQ(policyOf(SM_POLICY_BY_HASH + 1).name(), "unknown");
}

}  // namespace
}  // namespace sockmesh
