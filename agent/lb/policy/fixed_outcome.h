// SPDX-License-Identifier: Apache-2.0
// LEAVE_ALONE and REFUSE: the outcome is fixed, and the group has neither hosts nor a table.
#pragma once

#include "lb/policy/policy.h"

namespace sockmesh {

const Policy& leaveAlonePolicy();
const Policy& refusePolicy();

}  // namespace sockmesh
