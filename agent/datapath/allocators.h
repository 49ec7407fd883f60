// Allocators of ids and of ranges. Deterministic: the lowest free one first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

namespace sockmesh {

// Numbers in [first, limit).
class IdAllocator {
 public:
  IdAllocator(std::uint32_t first, std::uint32_t limit) : next_(first), limit_(limit) {}
  std::uint32_t limit() const { return limit_; }

  std::optional<std::uint32_t> allocate();
  // Marks a number as taken, when adopting; false where it was, or is out of range.
  bool take(std::uint32_t id);
  void release(std::uint32_t id) { free_.insert(id); }

 private:
  std::uint32_t next_;  // lowest number never handed out
  std::uint32_t limit_;
  std::set<std::uint32_t> free_;  // handed out and returned, all below next_
};

// Ranges of [first, limit). First fit; neighbours merge when released.
class RangeAllocator {
 public:
  RangeAllocator(std::uint32_t first, std::uint32_t limit) {
    if (first < limit) free_.emplace(first, limit - first);
  }

  // A range of `length` >= 1 entries; its first index.
  std::optional<std::uint32_t> allocate(std::uint32_t length);
  // Marks a range as taken, when adopting; false where a part of it was.
  bool take(std::uint32_t first, std::uint32_t length);
  void release(std::uint32_t first, std::uint32_t length);

 private:
  std::map<std::uint32_t, std::uint32_t> free_;  // first -> length; disjoint, not adjacent
};

}  // namespace sockmesh
