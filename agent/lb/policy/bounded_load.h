// SPDX-License-Identifier: Apache-2.0
// Bounded load, for the hash policies: hosts' shares of the load behind the policy's own table. See
// sm_group::balance_percent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lb/cell_text.h"
#include "lb/hash_hosts.h"
#include "lb/table_shape.h"
#include "lb/tables.h"

namespace sockmesh {

// Appends the weights of `hosts`, as doubles.
void appendWeights(std::span<const HashHost> hosts, CellTable& table);
// The cells that these weights take; 0 where bounded load is off.
std::uint32_t boundedLoadCells(const TableShape& shape);

// "balance=150%"; none where bounded load is off.
std::vector<std::string> boundedLoadParameters(const LbGroup& group);
void describeBoundedLoad(const LbGroup& group, const CellVisitor& visit);

}  // namespace sockmesh
