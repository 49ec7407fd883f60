// SPDX-License-Identifier: Apache-2.0
// Classes of characters, as ranges in ascending order.
#pragma once

#include <cstdint>
#include <span>

namespace sockmesh {

struct UnicodeRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // inclusive
};

// Controls, formats (bidirectional overrides among them), blanks other than the space, private and
// invisible characters: characters that control a terminal, or that it does not show.
extern const std::span<const UnicodeRange> kHiddenCharacters;
// Combining marks: drawn over the character before them. None of them is hidden.
extern const std::span<const UnicodeRange> kZeroWidthCharacters;
// Ideographs, fullwidth forms, emoji: two columns each. None of them is hidden.
extern const std::span<const UnicodeRange> kWideCharacters;

}  // namespace sockmesh
