// SPDX-License-Identifier: Apache-2.0
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
  // One more than the highest number in use after `count` more allocations.
  std::uint32_t extentAfter(std::size_t count) const;
  // Marks a number as taken when adopting. False: it was taken already, or it is out of range.
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
  RangeAllocator(std::uint32_t first, std::uint32_t limit) : limit_(limit) {
    if (first < limit) free_.emplace(first, limit - first);
  }

  // Takes a range of `length` >= 1 entries. Returns its first index.
  std::optional<std::uint32_t> allocate(std::uint32_t length);
  // One more than the highest index in use after allocations of `length` more entries, in any
  // ranges.
  std::uint32_t extentAfter(std::size_t length) const;
  // Marks a range as taken when adopting. False: a part of the range was taken already.
  bool take(std::uint32_t first, std::uint32_t length);
  void release(std::uint32_t first, std::uint32_t length);

 private:
  std::uint32_t limit_;
  std::map<std::uint32_t, std::uint32_t> free_;  // first -> length; disjoint, not adjacent
};

}  // namespace sockmesh
