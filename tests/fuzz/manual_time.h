// SPDX-License-Identifier: Apache-2.0
// The time of a fuzzer: SystemClock stands still until it is told otherwise, so that an input does
// the same each time.
#pragma once

#include "base/clock.h"

namespace sockmesh::fuzz {

void advanceTime(Nanos by);

}  // namespace sockmesh::fuzz
