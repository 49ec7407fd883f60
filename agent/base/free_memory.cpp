// SPDX-License-Identifier: Apache-2.0
#include "base/free_memory.h"

#include <malloc.h>

namespace sockmesh {
namespace {

constexpr int kLargeBlock = 256 * 1024;
constexpr int kKeptAtTop = 1024 * 1024;

}  // namespace

// Without a fixed threshold, each large block that is freed raises it, up to 32 MiB.
void returnLargeBlocks() {
  mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  mallopt(M_TRIM_THRESHOLD, kKeptAtTop);
}

void returnFreeMemory() {
  malloc_trim(0);
}

}  // namespace sockmesh
