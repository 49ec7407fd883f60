// SPDX-License-Identifier: Apache-2.0
// A memory-mapped BPF array (BPF_F_MMAPABLE): reads and writes of its values without system calls.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace sockmesh {

enum class MapAccess { kReadOnly, kReadWrite };

class MappedMemory {
 public:
  MappedMemory() = default;
  // Maps all values of the array map `fd`; the mapping outlives the descriptor. `bytes` is
  // entries * value size (a multiple of 8).
  static Result<MappedMemory> map(int fd, std::size_t bytes, MapAccess access);

  MappedMemory(MappedMemory&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        length_(std::exchange(other.length_, 0)) {}
  MappedMemory& operator=(MappedMemory&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(length_, other.length_);
    return *this;
  }
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  ~MappedMemory() {
    if (address_ != nullptr) munmap(address_, length_);
  }

  void* data() const { return address_; }

 private:
  void* address_ = nullptr;
  std::size_t length_ = 0;
};

// The values of an array map of T, in place.
template <typename T>
class MappedArray {
 public:
  MappedArray() = default;
  static Result<MappedArray> map(int fd, std::uint32_t entries, MapAccess access) {
    static_assert(sizeof(T) % 8 == 0 || sizeof(T) == 4, "array values are 8-byte aligned");
    const std::size_t stride = (sizeof(T) + 7) / 8 * 8;
    auto memory = MappedMemory::map(fd, entries * stride, access);
    if (!memory) return memory.error();
    MappedArray array;
    array.memory_ = std::move(memory).value();
    array.entries_ = entries;
    return array;
  }

  std::uint32_t size() const { return entries_; }
  // The programs read and write these values concurrently. Use atomic_ref for a word that both
  // sides write.
  T& operator[](std::uint32_t index) const {
    constexpr std::size_t kStride = (sizeof(T) + 7) / 8 * 8;
    return *reinterpret_cast<T*>(static_cast<char*>(memory_.data()) + index * kStride);
  }

 private:
  MappedMemory memory_;
  std::uint32_t entries_ = 0;
};

}  // namespace sockmesh
