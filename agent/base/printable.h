// SPDX-License-Identifier: Apache-2.0
// Makes foreign text (names, messages) safe in lines that people read: it cannot move the cursor,
// begin a new line, change the direction of writing or hide anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sockmesh {

// One character of UTF-8 text.
struct Character {
  std::uint32_t point = 0;  // the byte itself where `valid` is false
  std::size_t bytes = 1;
  bool valid = true;  // false: a byte that belongs to no character
};

// The first character of `text`, which must not be empty.
Character firstCharacter(std::string_view text);

// `text` with escapes in place of characters that are not shown as they are: \n \r \t, \x1b for a
// control character or a byte that is not UTF-8, \u202e and \U000e0001 for other characters.
// Everything else stays, also a backslash: printable(printable(x)) is printable(x).
std::string printable(std::string_view text);

// The inside of a JSON string that stands for `text`: what printable() escapes is escaped, a byte
// that is not UTF-8 becomes \ufffd.
std::string jsonEscaped(std::string_view text);

// The columns of a terminal that `text` takes: two for an ideograph or an emoji, none for a
// combining mark. `text` is printable.
std::size_t displayWidth(std::string_view text);

// The longest beginning of `text` that takes at most `columns`, or the longest end of it.
std::string_view headOf(std::string_view text, std::size_t columns);
std::string_view tailOf(std::string_view text, std::size_t columns);

}  // namespace sockmesh
