// SPDX-License-Identifier: Apache-2.0
#include "base/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sockmesh {
namespace {

using std::chrono::milliseconds;

// The longest of many draws of the n-th delay comes close to the interval it is drawn from.
Nanos longest(int attempt) {
  Nanos most(0);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Backoff backoff(milliseconds(500), milliseconds(30'000), seed);
    for (int i = 1; i < attempt; ++i) (void)backoff.next();
    most = std::max(most, backoff.next());
  }
  return most;
}

TEST(Backoff, IntervalsDoubleUpToTheLongest) {
  const int expected[] = {500, 1000, 2000, 4000, 8000, 16'000, 30'000, 30'000};
  for (int attempt = 1; attempt <= 8; ++attempt) {
    const milliseconds interval(expected[attempt - 1]);
    EXPECT_LT(longest(attempt), interval) << attempt;
    EXPECT_GT(longest(attempt), interval * 95 / 100) << attempt;
  }
}

TEST(Backoff, DelaysAreSpreadFromNothingUp) {
  Nanos least = milliseconds(500);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    least = std::min(least, Backoff(milliseconds(500), milliseconds(30'000), seed).next());
  }
  EXPECT_LT(least, milliseconds(25));
}

TEST(Backoff, AResetStartsOver) {
  Backoff backoff(milliseconds(500), milliseconds(30'000), 1);
  for (int i = 0; i < 10; ++i) (void)backoff.next();
  backoff.reset();
  EXPECT_LT(backoff.next(), milliseconds(500));
}

TEST(Backoff, WithoutASeedDelaysAreTheIntervals) {
  Backoff backoff(milliseconds(1000), milliseconds(30'000));
  for (const int expected : {1000, 2000, 4000, 8000, 16'000, 30'000, 30'000}) {
    EXPECT_EQ(backoff.next(), milliseconds(expected));
  }
  backoff.reset();
  EXPECT_EQ(backoff.next(), milliseconds(1000));
}

}  // namespace
}  // namespace sockmesh
