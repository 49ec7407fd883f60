// SPDX-License-Identifier: Apache-2.0
// main() of the tests that need root and the real kernel.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "support/process.h"
#include "support/sandbox.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  if (geteuid() != 0) {
    std::fprintf(stderr, "These tests load BPF programs and need root; none was run.\n");
    return 1;
  }
  const char* level = std::getenv("SOCKMESH_TEST_LOG");
  if (!sockmesh::configureLogging(level != nullptr ? level : "off", false)) return 1;
  [[maybe_unused]] const auto remembered = sockmesh::test::binary("");
  if (auto entered = sockmesh::test::enterNamespaces(); !entered) {
    std::fprintf(stderr, "%s\n", entered.error().message().c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
