// SPDX-License-Identifier: Apache-2.0
// An input as a list of choices.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sockmesh::fuzz {

class Script {
 public:
  explicit Script(std::span<const std::uint8_t> bytes) : left_(bytes) {}

  bool atEnd() const { return left_.empty(); }
  // 0 at the end.
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }
  // 0 to `end` - 1; `end` is at most 256.
  std::size_t below(std::size_t end) { return byte() % end; }
  bool coin() { return (byte() & 1U) != 0; }
  // As many bytes as the next two say, if there are so many.
  std::string bytes() {
    const std::size_t wanted = std::size_t{byte()} << 8U | byte();
    const auto taken = left_.first(std::min(wanted, left_.size()));
    left_ = left_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace sockmesh::fuzz
