// SPDX-License-Identifier: Apache-2.0
// The load balancing policies that a cluster can ask for, and what is known of them without tables.
#pragma once

#include <cstdint>
#include <string_view>

namespace sockmesh {

enum class LbPolicy : std::uint8_t {
  kRoundRobin,
  kLeastRequest,
  kRandom,
  kRingHash,
  kMaglev,
  kClusterProvided,  // ORIGINAL_DST: the address is left alone
};

// Envoy's name: "ROUND_ROBIN".
std::string_view policyName(LbPolicy policy);
// Whether the policy looks at a hash policy, which says what of a connection is hashed.
bool usesHash(LbPolicy policy);
// Whether slow start changes the weights that the policy goes by.
bool usesSlowStart(LbPolicy policy);

}  // namespace sockmesh
