// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/unicode_ranges.h"

namespace sockmesh {
namespace {

bool isIn(std::span<const UnicodeRange> ranges, std::uint32_t point) {
  const auto after = std::ranges::upper_bound(ranges, point, {}, &UnicodeRange::first);
  return after != ranges.begin() && point <= std::prev(after)->last;
}

bool isPlainAscii(char c) {
  return c >= 0x20 && c < 0x7F;
}

bool isShown(const Character& character) {
  return character.valid && !isIn(kHiddenCharacters, character.point);
}

std::size_t widthOf(const Character& character) {
  if (character.point < 0x300) return 1;
  if (isIn(kZeroWidthCharacters, character.point)) return 0;
  return isIn(kWideCharacters, character.point) ? 2 : 1;
}

std::string escapeOf(const Character& character) {
  switch (character.point) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (!character.valid || character.point < 0x80) return fmt::format("\\x{:02x}", character.point);
  return character.point < 0x10000 ? fmt::format("\\u{:04x}", character.point)
                                   : fmt::format("\\U{:08x}", character.point);
}

std::string jsonEscapeOf(const Character& character) {
  if (!character.valid) return "\\ufffd";
  if (character.point < 0x10000) return fmt::format("\\u{:04x}", character.point);
  const std::uint32_t rest = character.point - 0x10000;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10U), 0xDC00 + (rest & 0x3FFU));
}

std::uint32_t continuation(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]) & 0x3FU;
}

}  // namespace

Character firstCharacter(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1, true};
  const Character wrong{lead, 1, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return wrong;
  std::uint32_t point = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80) return wrong;
    point = point << 6U | continuation(text, i);
  }
  const bool tooLong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (tooLong || surrogate || point > 0x10FFFF) return wrong;
  return {point, length, true};
}

std::string printable(std::string_view text) {
  if (std::ranges::all_of(text, isPlainAscii)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const Character character = firstCharacter(text);
    if (isShown(character)) {
      out += text.substr(0, character.bytes);
    } else {
      out += escapeOf(character);
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::string jsonEscaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = firstCharacter(text);
    if (character.point == '"' || character.point == '\\') out += '\\';
    if (isShown(character)) {
      out += text.substr(0, character.bytes);
    } else {
      out += jsonEscapeOf(character);
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::size_t displayWidth(std::string_view text) {
  if (std::ranges::all_of(text, isPlainAscii)) return text.size();
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = firstCharacter(text);
    width += widthOf(character);
    text.remove_prefix(character.bytes);
  }
  return width;
}

std::string_view headOf(std::string_view text, std::size_t columns) {
  std::size_t taken = 0;
  while (taken < text.size()) {
    const Character character = firstCharacter(text.substr(taken));
    const std::size_t width = widthOf(character);
    if (width > columns) break;
    columns -= width;
    taken += character.bytes;
  }
  return text.substr(0, taken);
}

std::string_view tailOf(std::string_view text, std::size_t columns) {
  std::size_t width = displayWidth(text);
  while (!text.empty()) {
    const Character character = firstCharacter(text);
    const std::size_t own = widthOf(character);
    // A combining mark does not stay without its base character.
    if (width <= columns && own > 0) break;
    width -= own;
    text.remove_prefix(character.bytes);
  }
  return text;
}

}  // namespace sockmesh
