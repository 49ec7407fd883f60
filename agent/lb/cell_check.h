// SPDX-License-Identifier: Apache-2.0
// Whether the indices in cells that were read from a map stay within bounds.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "lb/tables.h"

namespace sockmesh {

// Each alias entry leads below `limit`. The error: "alias[3]: 7 is not below 5".
Status checkAlias(std::span<const sm_cell> cells, std::size_t limit);
// Each of the first `count` words is below `limit`; there are cells for all of them.
Status checkWords(std::span<const sm_cell> cells, std::uint64_t count, std::size_t limit);
// The error that what[index] is `value`.
Error outOfBounds(const char* what, std::uint64_t index, std::uint32_t value, std::size_t limit);

// The group has hosts.
Status checkHosts(const LbGroup& group);
// The group has a table, with as many cells as tableCellCount() says.
Status checkTable(const LbGroup& group);

}  // namespace sockmesh
