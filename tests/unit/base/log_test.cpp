// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sockmesh {
namespace {

// What a message becomes on stderr.
std::string logged(bool json, const std::string& message) {
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(configureLogging("info", json));
  spdlog::default_logger()->warn("{}", message);
  return ::testing::internal::GetCapturedStderr();
}

TEST(Log, ANameCannotMakeALineOfItsOwn) {
  const std::string text = logged(false, "cluster a\n2026-01-01T00:00:00.000 I main: forged\x1b[A");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_TRUE(
      text.ends_with(" W main: cluster a\\n2026-01-01T00:00:00.000 I main: forged\\x1b[A\n"))
      << text;
}

TEST(Log, JsonStaysJsonWhateverTheBytes) {
  const std::string text = logged(true, "a\"\n\xff\u202e");
  EXPECT_TRUE(text.ends_with(R"("message":"a\"\u000a\ufffd\u202e"})"
                             "\n"))
      << text;
}

}  // namespace
}  // namespace sockmesh
