// SPDX-License-Identifier: Apache-2.0
// How much a source of resources may make the agent hold. What exceeds a limit is rejected by name,
// and its last good version stays.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace sockmesh {

struct ResourceLimits {
  std::size_t resources = 1'000'000;  // of each type
  // Of all assignments; of all clusters' own; of all that names of DNS clusters bring.
  std::size_t endpoints = 4'000'000;
  std::size_t resourceBytes = 256U << 20;  // of one resource, serialized
  int nesting = 100;                       // of messages in one resource; at most kMostNesting
  static constexpr int kMostNesting = 1000;

  // Each Error names the limit and both numbers.
  Status checkSize(std::size_t bytes) const;
  Status checkCount(std::size_t ofType) const;
  Status checkEndpoints(std::size_t all) const;
};

}  // namespace sockmesh
