// SPDX-License-Identifier: Apache-2.0
#include "base/suggestion.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

const std::vector<std::string> kCommands = {"service", "endpoint", "ejection", "map", "status"};

TEST(Suggestion, MisspeltNamesAreFound) {
  EXPECT_EQ(mostSimilar("servce", kCommands), "service");
  EXPECT_EQ(mostSimilar("services", kCommands), "service");
  EXPECT_EQ(mostSimilar("statsu", kCommands), "status") << "two letters swapped";
  EXPECT_EQ(mostSimilar("ednpiont", kCommands), "endpoint");
  EXPECT_EQ(mostSimilar("mpa", kCommands), "map");
  EXPECT_EQ(mostSimilar("end", kCommands), "endpoint") << "the only one that begins so";
}

TEST(Suggestion, CaseAndSeparatorsAreNoDifference) {
  const std::vector<std::string> values = {"ROUND_ROBIN", "LEAST_REQUEST"};
  EXPECT_EQ(mostSimilar("round_robin", values), "ROUND_ROBIN");
  EXPECT_EQ(mostSimilar("RoundRobin", values), "ROUND_ROBIN");
  EXPECT_EQ(mostSimilar("least-request", values), "LEAST_REQUEST");
}

TEST(Suggestion, WhatIsNotSimilarIsNotSuggested) {
  EXPECT_EQ(mostSimilar("banana", kCommands), std::nullopt);
  EXPECT_EQ(mostSimilar("e", kCommands), std::nullopt);
  EXPECT_EQ(mostSimilar("", kCommands), std::nullopt);
  EXPECT_EQ(mostSimilar("--", {"x", ""}), std::nullopt);
  EXPECT_EQ(mostSimilar("st", {"status", "stats"}), std::nullopt) << "two begin so";
  EXPECT_EQ(didYouMean("banana", kCommands), "");
  EXPECT_EQ(didYouMean("statsu", kCommands), ", did you mean status?");
}

TEST(Suggestion, ALongTextIsNoName) {
  EXPECT_EQ(mostSimilar(std::string(1'000'000, 's'), kCommands), std::nullopt);
}

}  // namespace
}  // namespace sockmesh
