// SPDX-License-Identifier: Apache-2.0
// Whose fault a failure is (bpf/conn/outlier_rules.h): one pod must not eject an endpoint for all.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "bpf/conn/outlier_rules.h"
#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Nanos kEpoch{1LL << SM_SERVED_EPOCH_SHIFT};

OutlierDetection threshold(std::uint32_t failures) {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  settings.consecutive5xx = failures;
  settings.consecutiveGatewayFailure = 0;
  settings.interval = std::chrono::hours(24);
  return settings;
}

// Namespaces as the kernel numbers them, that share a bit with `of` or (`same` false) do not.
std::vector<std::uint64_t> others(std::uint64_t of, bool same, std::size_t count) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t netns = of + 1; found.size() < count; ++netns)
    if ((sm_client_bit(netns) == sm_client_bit(of)) == same) found.push_back(netns);
  return found;
}

// As many with a bit each.
std::vector<std::uint64_t> clients(std::size_t count) {
  std::vector<std::uint64_t> found;
  std::uint64_t bits = 0;
  for (std::uint64_t netns = 1; found.size() < count; ++netns) {
    if (bits & sm_client_bit(netns)) continue;
    bits |= sm_client_bit(netns);
    found.push_back(netns);
  }
  return found;
}

TEST(ClientBit, SpreadsCookiesThatCountUpwards) {
  std::map<std::uint64_t, int> clientsOf;
  for (std::uint64_t netns = 4000; netns < 4064; ++netns) ++clientsOf[sm_client_bit(netns)];
  EXPECT_GE(clientsOf.size(), 40U);
}

TEST(Speaks, OneClientAloneEjectsAtExactlyTheThreshold) {
  for (const std::uint32_t failures : {1U, 2U, 5U, 17U}) {
    for (const int served : {0, 1, 30}) {
      Node node(threshold(failures), 1);
      node.succeed(1, served);
      node.fail(1, static_cast<int>(failures) - 1);
      EXPECT_FALSE(node.ejected(1));
      node.fail(1);
      EXPECT_TRUE(node.ejected(1));
      EXPECT_EQ(node.lines.line(kC, host(1)).disputed, 0U);
    }
  }
}

// Any interleaving in which A is served from time to time and B never is, also if both share a bit.
TEST(Speaks, OneClientsTroubleEjectsNothingWhileAnotherIsServed) {
  std::mt19937 random(7);
  for (int history = 0; history < 400; ++history) {
    const std::uint64_t a = 1 + random() % 1000;
    const std::uint64_t b = others(a, history % 2 == 0, 5)[random() % 5];
    Node node(threshold(2), 1);
    node.clock.set(Nanos(random() % kEpoch.count() + 1));
    node.succeed(1, 1, a);
    for (int step = 0; step < 60; ++step) {
      // Anything up to a whole epoch between two services.
      const Nanos next = node.clock.monotonic() + kEpoch;
      for (auto n = random() % 6; n > 0; --n) {
        node.clock.advance(kEpoch / 8);
        node.fail(1, static_cast<int>(1 + random() % 10), b);
        ASSERT_FALSE(node.ejected(1)) << "history " << history;
      }
      node.clock.set(next - Nanos(random() % kEpoch.count()));
      node.succeed(1, 1, a);
    }
    EXPECT_EQ(node.lines.line(kC, host(1)).failures, 0U);
  }
}

// B was served and then lost its network: its failures count once for each time that it was served.
TEST(Speaks, WhoWasServedSpeaksOnce) {
  Node node(threshold(2), 1);
  const auto both = clients(2);
  node.succeed(1, 1, both[1]);
  node.succeed(1, 1, both[0]);
  node.fail(1, 50, both[1]);
  EXPECT_FALSE(node.ejected(1));
  EXPECT_EQ(node.lines.line(kC, host(1)).failures, 1U);
  EXPECT_EQ(node.lines.line(kC, host(1)).disputed, 49U);
  EXPECT_EQ(node.state(1).consecutive_failures, 1U);
}

// Both were served, B last, and share a bit: their names tell them apart.
TEST(Speaks, TwoThatShareABitAreToldApart) {
  for (const std::uint64_t a : {1U, 77U, 4000U}) {
    const std::uint64_t b = others(a, true, 1)[0];
    Node node(threshold(2), 1);
    for (int round = 0; round < 20; ++round) {
      node.succeed(1, 1, a);
      if (round == 0) node.succeed(1, 1, b);
      node.fail(1, 50, b);
      ASSERT_FALSE(node.ejected(1)) << round;
    }
    EXPECT_EQ(node.lines.line(kC, host(1)).failures, 1U) << "once, for having been served";
    // The endpoint dies for both: A's failure counts as well, and after it every failure does.
    node.fail(1, 1, a);
    node.fail(1, 1, b);
    EXPECT_TRUE(node.ejected(1));
  }
}

TEST(Speaks, OthersServedEndTheRun) {
  Node node(threshold(2), 1);
  const auto both = clients(2);
  for (int i = 0; i < 50; ++i) {
    node.succeed(1, 1, both[1]);
    node.fail(1, 1, both[1]);
    node.succeed(1, 1, both[0]);
  }
  EXPECT_FALSE(node.ejected(1));
}

// The endpoint dies under clients that all go on trying, in any order: one failure of each served
// client counts, and after that every failure does.
TEST(Speaks, ADeadEndpointIsEjectedOnceAllWhoWereServedHaveSpoken) {
  std::mt19937 random(11);
  for (int history = 0; history < 2000; ++history) {
    const auto failures = 1 + random() % 8;
    auto all = clients(1 + random() % 20);
    Node node(threshold(static_cast<std::uint32_t>(failures)), 1);
    for (int i = 0; i < 5; ++i) {
      std::shuffle(all.begin(), all.end(), random);
      for (const auto netns : all) node.succeed(1, 1, netns);
    }
    std::size_t rounds = 0;
    for (; !node.ejected(1); ++rounds) {
      ASSERT_LT(rounds, 1 + failures) << all.size() << " clients, threshold " << failures;
      std::shuffle(all.begin(), all.end(), random);
      for (const auto netns : all) node.fail(1, 1, netns);
    }
    // With enough clients the first round suffices. With one client each round adds a failure.
    if (all.size() >= failures) {
      EXPECT_EQ(rounds, 1U);
    }
    if (all.size() == 1) {
      EXPECT_EQ(rounds, failures);
    }
  }
}

TEST(Speaks, ManyClientsEjectAtExactlyTheThreshold) {
  Node node(threshold(5), 1);
  const auto all = clients(30);
  for (const auto netns : all) node.succeed(1, 1, netns);
  for (int i = 0; i < 4; ++i) node.fail(1, 1, all[i]);
  EXPECT_FALSE(node.ejected(1));
  node.fail(1, 1, all[4]);
  EXPECT_TRUE(node.ejected(1));
}

TEST(Speaks, NobodyServedMeansEverybodySpeaks) {
  Node node(threshold(6), 1);
  for (const auto netns : clients(6)) {
    EXPECT_FALSE(node.ejected(1));
    node.fail(1, 1, netns);
  }
  EXPECT_TRUE(node.ejected(1));
}

TEST(Epochs, ServedCountsForThisEpochAndTheNext) {
  const auto both = clients(2);
  for (const auto& [later, speaks] : {std::pair{0, false}, {1, false}, {2, true}, {3, true}}) {
    Node node(threshold(5), 1);
    node.clock.set(10 * kEpoch + milliseconds(1));
    node.succeed(1, 1, both[0]);
    node.clock.set((10 + later) * kEpoch + milliseconds(1));
    node.fail(1, 5, both[1]);
    EXPECT_EQ(node.ejected(1), speaks) << later << " epochs later";
  }
}

// One of two goes silent when the endpoint dies: at most 8.6 s.
TEST(Epochs, ASilentClientDelaysTheEjectionByTwoEpochsAtMost) {
  const auto both = clients(2);
  for (Nanos offset = milliseconds(1); offset < kEpoch; offset += milliseconds(97)) {
    Node node(threshold(5), 1);
    node.clock.set(3 * kEpoch + offset);
    const Nanos died = node.clock.monotonic();
    node.succeed(1, 1, both[1]);
    node.succeed(1, 1, both[0]);
    while (!node.ejected(1)) {
      node.clock.advance(milliseconds(50));
      node.fail(1, 1, both[1]);
      ASSERT_LT(node.clock.monotonic() - died, milliseconds(8600 + 5 * 50));
    }
    EXPECT_GT(node.clock.monotonic() - died, kEpoch);
  }
}

TEST(Epochs, FirstEpochOfAllIsLikeAnyOther) {
  Node node(threshold(2), 1);
  const auto both = clients(2);
  node.clock.set(Nanos(1));
  node.succeed(1, 1, both[0]);
  node.fail(1, 10, both[1]);
  EXPECT_FALSE(node.ejected(1));
}

// A CPU that read the clock before the turn of the epoch and writes after it.
TEST(Epochs, ALateCpuForgetsNothing) {
  Node node(threshold(2), 1);
  const auto both = clients(2);
  node.clock.set(5 * kEpoch + Nanos(1));
  node.succeed(1, 1, both[0]);
  node.clock.set(5 * kEpoch - Nanos(1));
  node.fail(1, 10, both[1]);
  EXPECT_FALSE(node.ejected(1));
}

}  // namespace
}  // namespace sockmesh
