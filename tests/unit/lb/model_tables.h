// SPDX-License-Identifier: Apache-2.0
// What the compiler makes of the inputs of the plain model.
#pragma once

#include <memory>
#include <vector>

#include "lb/tables.h"
#include "unit/lb/reference_model.h"

namespace sockmesh::test {

// One listener on kVip over these legs, compiled by a fresh compiler.
std::shared_ptr<const LbTables> compileModel(const std::vector<ModelLeg>& legs,
                                             const ModelWorld& world);

}  // namespace sockmesh::test
