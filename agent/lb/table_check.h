// SPDX-License-Identifier: Apache-2.0
// Tables that were read back from the kernel may be torn (the agent writes meanwhile) or broken.
// Code that follows their indices must know that the indices stay within bounds.
#pragma once

#include "base/result.h"
#include "lb/tables.h"

namespace sockmesh {

// Checks that every index in the pick and in the groups' tables names a group or a host that
// exists, and that each table has as many cells as its policy needs. The error names the first
// violation.
Status checkTables(const LbService& service);

}  // namespace sockmesh
