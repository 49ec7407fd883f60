#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes agent/base/unicode_ranges.cpp from this Python's Unicode data: the characters that are shown
escaped, the characters that take no column, and those that take two. Run it again for a newer Unicode."""
import pathlib
import unicodedata

# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, without what the categories below cover,
# and U+2800, which is blank and no space.
IGNORED = [(0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
           (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
           (0xE0000, 0xE0FFF)]
# Blocks of ideographs are wide as a whole, also the code points that are not assigned yet.
IDEOGRAPHS = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2FFFD), (0x30000, 0x3FFFD)]


def within(point, ranges):
    return any(first <= point <= last for first, last in ranges)


def is_hidden(point):
    if point == 0x20:
        return False
    if point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF or within(point, IGNORED):
        return True
    return unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs")


def is_zero(point):
    # The vowels and finals of Hangul join the consonant before them.
    return (unicodedata.category(chr(point)) in ("Mn", "Me") or 0x1160 <= point <= 0x11FF
            or 0xD7B0 <= point <= 0xD7FB) and not is_hidden(point)


def is_wide(point):
    return ((unicodedata.east_asian_width(chr(point)) in "WF" or within(point, IDEOGRAPHS))
            and not is_hidden(point) and not is_zero(point))


def ranges(matches):
    found = []
    for point in range(0x110000):
        if not matches(point):
            continue
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return found


def table(name, matches):
    lines, line = [f"constexpr UnicodeRange {name}[] = {{"], "   "
    for first, last in ranges(matches):
        entry = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(entry) > 100:
            lines.append(line)
            line = "   "
        line += entry
    return "\n".join(lines + [line, "};"])


def main():
    names = [("kHidden", is_hidden), ("kZeroWidth", is_zero), ("kWide", is_wide)]
    text = f"""// Made by tools/build/unicode-ranges.py from Unicode {unicodedata.unidata_version}; not edited by hand.
#include "base/unicode_ranges.h"

namespace sockmesh {{
namespace {{

// clang-format off
{chr(10).join(table(name, matches) for name, matches in names)}
// clang-format on

}}  // namespace

const std::span<const UnicodeRange> kHiddenCharacters = kHidden;
const std::span<const UnicodeRange> kZeroWidthCharacters = kZeroWidth;
const std::span<const UnicodeRange> kWideCharacters = kWide;

}}  // namespace sockmesh
"""
    path = pathlib.Path(__file__).resolve().parents[2] / "agent/base/unicode_ranges.cpp"
    path.write_text(text)


if __name__ == "__main__":
    main()
