// SPDX-License-Identifier: Apache-2.0
// Memory that was freed goes back to the system. The allocator would keep most of it.
#pragma once

#include <cstddef>

namespace sockmesh {

// A message or an answer of so many bytes leaves enough free memory that it is worth returning.
inline constexpr std::size_t kLeavesMuchFree = std::size_t{1} << 20U;

// Large blocks (256 KiB and more) are the system's as soon as they are freed. Call it before there
// are other threads.
void returnLargeBlocks();

// Returns what is free now, of all threads. Other threads that allocate meanwhile may wait for some
// milliseconds. Any thread.
void returnFreeMemory();

}  // namespace sockmesh
