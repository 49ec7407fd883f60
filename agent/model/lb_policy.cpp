// SPDX-License-Identifier: Apache-2.0
#include "model/lb_policy.h"

namespace sockmesh {
namespace {

struct Traits {
  std::string_view name;
  bool usesHash = false;
  bool usesSlowStart = false;
};

Traits traitsOf(LbPolicy policy) {
  switch (policy) {
    case LbPolicy::kRoundRobin:
      return {.name = "ROUND_ROBIN", .usesHash = false, .usesSlowStart = true};
    case LbPolicy::kLeastRequest:
      return {.name = "LEAST_REQUEST", .usesHash = false, .usesSlowStart = true};
    case LbPolicy::kRandom:
      return {.name = "RANDOM", .usesHash = false, .usesSlowStart = false};
    case LbPolicy::kRingHash:
      return {.name = "RING_HASH", .usesHash = true, .usesSlowStart = false};
    case LbPolicy::kMaglev:
      return {.name = "MAGLEV", .usesHash = true, .usesSlowStart = false};
    case LbPolicy::kClusterProvided:
      break;
  }
  return {.name = "CLUSTER_PROVIDED", .usesHash = false, .usesSlowStart = false};
}

}  // namespace

std::string_view policyName(LbPolicy policy) {
  return traitsOf(policy).name;
}

bool usesHash(LbPolicy policy) {
  return traitsOf(policy).usesHash;
}

bool usesSlowStart(LbPolicy policy) {
  return traitsOf(policy).usesSlowStart;
}

}  // namespace sockmesh
