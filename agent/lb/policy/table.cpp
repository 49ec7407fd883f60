// SPDX-License-Identifier: Apache-2.0
// The tables of policies: a line for each. The compiler names a policy that has none.
#include "lb/policy/by_hash.h"
#include "lb/policy/configured_policy.h"
#include "lb/policy/fixed_outcome.h"
#include "lb/policy/least_request.h"
#include "lb/policy/maglev.h"
#include "lb/policy/policy.h"
#include "lb/policy/random.h"
#include "lb/policy/ring_hash.h"
#include "lb/policy/round_robin.h"

namespace sockmesh {
namespace {

// A number from a map of another version, or from a damaged one.
class UnknownPolicy final : public Policy {
 public:
  std::string_view name() const override { return "unknown"; }
  Status check(const LbGroup& group, std::size_t) const override {
    return Error("policy: " + std::to_string(static_cast<std::uint32_t>(group.policy)) +
                 " is not known");
  }
};

}  // namespace

// clang-format off
const Policy& policyOf(std::uint32_t policy) {
  switch (static_cast<sm_policy>(policy)) {
    case SM_POLICY_LEAVE_ALONE:   return leaveAlonePolicy();
    case SM_POLICY_REFUSE:        return refusePolicy();
    case SM_POLICY_RANDOM:        return randomPolicy();
    case SM_POLICY_ROUND_ROBIN:   return roundRobinPolicy();
    case SM_POLICY_LEAST_REQUEST: return leastRequestPolicy();
    case SM_POLICY_MAGLEV:        return maglevPolicy();
    case SM_POLICY_RING_HASH:     return ringHashPolicy();
    case SM_POLICY_BY_HASH:       return byHashPolicy();
  }
  static const UnknownPolicy unknown;
  return unknown;
}

const ConfiguredPolicy* configuredPolicy(LbPolicy policy) {
  switch (policy) {
    case LbPolicy::kRandom:          return &randomPolicy();
    case LbPolicy::kRoundRobin:      return &roundRobinPolicy();
    case LbPolicy::kLeastRequest:    return &leastRequestPolicy();
    case LbPolicy::kMaglev:          return &maglevPolicy();
    case LbPolicy::kRingHash:        return &ringHashPolicy();
    case LbPolicy::kClusterProvided: break;
  }
  return nullptr;
}
// clang-format on

}  // namespace sockmesh
