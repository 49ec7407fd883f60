// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace sockmesh {
namespace {

using std::string_literals::operator""s;

TEST(Printable, WhatATerminalObeysIsEscaped) {
  EXPECT_EQ(printable("plain text, \"quoted\" \\ and all"), "plain text, \"quoted\" \\ and all");
  EXPECT_EQ(printable("a\nb\r\tc"), "a\\nb\\r\\tc");
  EXPECT_EQ(printable("\x1b[2J\x1b]0;title\x07"), "\\x1b[2J\\x1b]0;title\\x07");
  EXPECT_EQ(printable("nul\0end"s), "nul\\x00end");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m") << "C1: what ESC [ is, in one character";
}

TEST(Printable, WhatTurnsOrHidesTextIsEscaped) {
  EXPECT_EQ(printable("a\u202egnp.exe"), "a\\u202egnp.exe") << "right-to-left override";
  EXPECT_EQ(printable("\u2066x\u2069"), "\\u2066x\\u2069") << "isolates";
  EXPECT_EQ(printable("a\u200bb\ufeffc\u2060d"), "a\\u200bb\\ufeffc\\u2060d") << "no width";
  EXPECT_EQ(printable("a\u2028b\u2029c\u0085d"), "a\\u2028b\\u2029c\\u0085d") << "lines";
  EXPECT_EQ(printable("a\u00a0b\u3000c"), "a\\u00a0b\\u3000c") << "blanks that are no space";
  EXPECT_EQ(printable("x\U000e0041y\ufe0fz"), "x\\U000e0041y\\ufe0fz") << "tags and selectors";
  EXPECT_EQ(printable("\u3164"), "\\u3164") << "a letter that is blank";
}

TEST(Printable, LettersOfAllKindsStay) {
  for (const char* text : {"größe", "сервис", "サービス", "שירות", "e\u0301", "😀", "नमस्ते"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, BytesThatAreNotUtf8AreShownAsBytes) {
  EXPECT_EQ(printable("a\xff\xfe z"), "a\\xff\\xfe z");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "longer than need be";
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut off";
  EXPECT_EQ(printable("\x80"), "\\x80") << "a tail without its head";
}

TEST(Printable, TwiceIsOnce) {
  const std::string once = printable("a\n\x1b\xff\u202e");
  EXPECT_EQ(printable(once), once);
}

TEST(JsonEscaped, IsTheInsideOfAString) {
  EXPECT_EQ(jsonEscaped("a\"b\\c\n"), "a\\\"b\\\\c\\u000a");
  EXPECT_EQ(jsonEscaped("\x7f\u202e\U000e0041"), "\\u007f\\u202e\\udb40\\udc41");
  EXPECT_EQ(jsonEscaped("é\xff"), "é\\ufffd");
}

TEST(DisplayWidth, CountsColumnsAndNotBytes) {
  EXPECT_EQ(displayWidth("reviews"), 7U);
  EXPECT_EQ(displayWidth("größe"), 5U);
  EXPECT_EQ(displayWidth("サービス"), 8U);
  EXPECT_EQ(displayWidth("ｱ"), 1U) << "halfwidth";
  EXPECT_EQ(displayWidth("Ａ"), 2U) << "fullwidth";
  EXPECT_EQ(displayWidth("e\u0301\u0302"), 1U) << "marks are drawn over the letter";
  EXPECT_EQ(displayWidth("😀"), 2U);
  EXPECT_EQ(displayWidth("\U00020000"), 2U);
  EXPECT_EQ(displayWidth("\u1112\u1161\u11ab"), 2U) << "one syllable of Hangul in three parts";
  EXPECT_EQ(displayWidth("नमस्ते"), 4U) << "four letters and two marks";
  EXPECT_EQ(displayWidth(""), 0U);
}

TEST(HeadAndTail, NeverCutACharacterNorLeaveAMarkAlone) {
  EXPECT_EQ(headOf("サービス", 5), "サー");
  EXPECT_EQ(tailOf("サービス", 5), "ビス");
  EXPECT_EQ(headOf("e\u0301x", 1), "e\u0301");
  EXPECT_EQ(tailOf("xe\u0301", 1), "e\u0301");
  EXPECT_EQ(tailOf("日\u0301x", 2), "x") << "the mark goes with its letter";
  EXPECT_EQ(headOf("abc", 9), "abc");
  EXPECT_EQ(tailOf("abc", 0), "");
}

}  // namespace
}  // namespace sockmesh
