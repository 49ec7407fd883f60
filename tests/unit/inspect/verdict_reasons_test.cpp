// SPDX-License-Identifier: Apache-2.0
#include "inspect/verdict_reasons.h"

#include <gmock/gmock.h>

namespace sockmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::uint32_t kCluster = 7;

sm_group group(sm_policy policy, sm_reason reason = SM_REASON_NONE, std::uint32_t flags = 0) {
  sm_group out{};
  out.policy = policy;
  out.cluster_id = kCluster;
  out.reason = reason;
  out.flags = flags;
  return out;
}

class VerdictReasonsTest : public ::testing::Test {
 protected:
  ImageService& service(const std::string& vip, std::vector<sm_group> groups) {
    ImageService& made = image_.services[{SocketAddress::parse(vip).value(), Protocol::kTcp}];
    made.groups = std::move(groups);
    return made;
  }
  ClusterVerdicts reasons() const { return verdictReasons(image_)[kCluster]; }

  KernelImage image_;
};

TEST_F(VerdictReasonsTest, AreThoseOfAllServicesOfTheCluster) {
  service("10.0.0.1:80", {group(SM_POLICY_REFUSE, SM_REASON_NO_SUBSET), group(SM_POLICY_RANDOM)});
  service("10.0.0.2:80", {group(SM_POLICY_REFUSE, SM_REASON_NO_ENDPOINTS)});
  service("10.0.0.3:80", {group(SM_POLICY_REFUSE, SM_REASON_NO_ENDPOINTS)});
  service("10.0.0.4:80", {group(SM_POLICY_LEAVE_ALONE, SM_REASON_TLS)});
  EXPECT_THAT(reasons().refused.certain, UnorderedElementsAre("no_subset", "no_endpoints"));
  EXPECT_THAT(reasons().leftAlone.certain, ElementsAre("tls"));
}

TEST_F(VerdictReasonsTest, IncludeWhatSocketsOfOneFamilyMeet) {
  const auto others = std::make_shared<ImageService>();
  others->groups = {group(SM_POLICY_REFUSE, SM_REASON_NO_REACHABLE)};
  service("[fd00::1]:80", {group(SM_POLICY_RANDOM)}).ipv6Only = others;
  EXPECT_THAT(reasons().refused.certain, ElementsAre("no_reachable_endpoints"));
}

TEST_F(VerdictReasonsTest, WithoutPanicEjectionOfAllIsOne) {
  service("10.0.0.1:80", {group(SM_POLICY_RANDOM, SM_REASON_NONE, SM_GROUP_NO_PANIC)});
  EXPECT_THAT(reasons().refused.certain, IsEmpty());
  EXPECT_EQ(reasons().refused.onceEjected, "no_healthy_endpoints");
}

TEST_F(VerdictReasonsTest, AClusterThatBalancesHasNone) {
  service("10.0.0.1:80", {group(SM_POLICY_RANDOM)});
  EXPECT_THAT(verdictReasons(image_), IsEmpty());
}

TEST(ReasonLabel, EachReasonHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (std::uint32_t i = 0; i <= SM_REASON_NO_REACHABLE; ++i) words.insert(reasonLabel(i));
  EXPECT_EQ(words.size(), SM_REASON_NO_REACHABLE + 1U);
  EXPECT_FALSE(words.contains("unknown"));
  EXPECT_EQ(reasonLabel(SM_REASON_ORIGINAL_DST), "original_dst");
  EXPECT_EQ(reasonLabel(SM_REASON_NO_REACHABLE + 1), "unknown");
}

}  // namespace
}  // namespace sockmesh
