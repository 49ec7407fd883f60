// SPDX-License-Identifier: Apache-2.0
#include "maps/mapped_memory.h"

#include <unistd.h>

#include <cerrno>

namespace sockmesh {

Result<MappedMemory> MappedMemory::map(int fd, std::size_t bytes, MapAccess access) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t length = (bytes + page - 1) / page * page;
  const int protection = access == MapAccess::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* address = mmap(nullptr, length, protection, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return Error::fromErrno("mmap of a BPF array", errno);
  MappedMemory memory;
  memory.address_ = address;
  memory.length_ = length;
  return memory;
}

}  // namespace sockmesh
