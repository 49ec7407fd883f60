// SPDX-License-Identifier: Apache-2.0
// Messages from text format, and what a decoder said about them.
#pragma once

#include <ostream>
#include <string>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace sockmesh {

// `text` as a Message. A text that cannot be read fails the test.
template <typename Message>
Message parseText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// The message of a failed Result. "" if it did not fail.
template <typename Decoded>
std::string errorOf(const Decoded& result) {
  return result.ok() ? "" : result.error().message();
}

// A parameter of the tables of cases: a name, what is decoded, and the expected result.
struct Case {
  const char* what;
  std::string text;
  std::string expected;

  friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.text; }
};

}  // namespace sockmesh
