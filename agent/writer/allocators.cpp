// SPDX-License-Identifier: Apache-2.0
#include "writer/allocators.h"

#include <algorithm>
#include <iterator>

namespace sockmesh {

std::optional<std::uint32_t> IdAllocator::allocate() {
  if (!free_.empty()) {
    const std::uint32_t id = *free_.begin();
    free_.erase(free_.begin());
    return id;
  }
  if (next_ >= limit_) return std::nullopt;
  return next_++;
}

std::uint32_t IdAllocator::extentAfter(std::size_t count) const {
  const std::size_t fresh = count > free_.size() ? count - free_.size() : 0;
  return static_cast<std::uint32_t>(std::min<std::size_t>(limit_, next_ + fresh));
}

bool IdAllocator::take(std::uint32_t id) {
  if (id >= limit_) return false;
  if (id < next_) return free_.erase(id) > 0;
  for (; next_ < id; ++next_) free_.insert(next_);
  ++next_;
  return true;
}

std::optional<std::uint32_t> RangeAllocator::allocate(std::uint32_t length) {
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->second < length) continue;
    const std::uint32_t first = it->first;
    const std::uint32_t left = it->second - length;
    free_.erase(it);
    if (left > 0) free_.emplace(first + length, left);
    return first;
  }
  return std::nullopt;
}

// Behind the last used range everything is free. Holes before it are not relied on.
std::uint32_t RangeAllocator::extentAfter(std::size_t length) const {
  if (free_.empty()) return limit_;
  const auto& [first, room] = *free_.rbegin();
  if (static_cast<std::uint64_t>(first) + room < limit_) return limit_;
  return static_cast<std::uint32_t>(std::min<std::size_t>(limit_, first + length));
}

bool RangeAllocator::take(std::uint32_t first, std::uint32_t length) {
  auto it = free_.upper_bound(first);
  if (it == free_.begin()) return false;
  --it;
  const std::uint32_t from = it->first;
  const std::uint64_t end = static_cast<std::uint64_t>(from) + it->second;
  const std::uint64_t wantedEnd = static_cast<std::uint64_t>(first) + length;
  if (wantedEnd > end) return false;
  free_.erase(it);
  if (first > from) free_.emplace(from, first - from);
  if (end > wantedEnd) {
    free_.emplace(static_cast<std::uint32_t>(wantedEnd),
                  static_cast<std::uint32_t>(end - wantedEnd));
  }
  return true;
}

void RangeAllocator::release(std::uint32_t first, std::uint32_t length) {
  const auto next = free_.lower_bound(first);
  if (next != free_.end() && first + length == next->first) {
    length += next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound(first);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == first) {
      before->second += length;
      return;
    }
  }
  free_.emplace(first, length);
}

}  // namespace sockmesh
