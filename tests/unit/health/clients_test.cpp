// SPDX-License-Identifier: Apache-2.0
// Who speaks for whom (bpf/conn/outlier_rules.h): a client ejects for itself, and the node's
// clients agree on what is ejected for all.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "bpf/conn/outlier_rules.h"
#include "unit/health/node.h"

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Nanos kEpoch{1LL << SM_USERS_EPOCH_SHIFT};

OutlierDetection threshold(std::uint32_t failures) {
  OutlierDetection settings;
  settings.maxEjectionPercent = 100;
  settings.consecutive5xx = failures;
  settings.consecutiveGatewayFailure = 0;
  settings.interval = std::chrono::hours(24);
  return settings;
}

TEST(Clients, OneAloneEjectsForAllAtExactlyTheThreshold) {
  for (const std::uint32_t failures : {1U, 2U, 5U, 17U}) {
    for (const int served : {0, 1, 30}) {
      Node node(threshold(failures), 1);
      node.succeed(1, served);
      node.fail(1, static_cast<int>(failures) - 1);
      EXPECT_FALSE(node.ejected(1));
      node.fail(1);
      EXPECT_TRUE(node.ejected(1));
      EXPECT_FALSE(node.ejectedFor(1, kClient)) << "one ejection, not two";
    }
  }
}

// Any interleaving in which A is served from time to time and B never is.
TEST(Clients, OneClientsTroubleEjectsForItselfAlone) {
  std::mt19937 random(7);
  for (int history = 0; history < 400; ++history) {
    Node node(threshold(2), 1);
    node.clock.set(Nanos(static_cast<std::int64_t>(random() % kEpoch.count()) + 1));
    node.succeed(1, 1, 1);
    int failed = 0;
    for (int step = 0; step < 60; ++step) {
      const Nanos next = node.clock.monotonic() + kEpoch;
      for (auto n = random() % 6; n > 0; --n) {
        node.clock.advance(kEpoch / 8);
        const int times = static_cast<int>(1 + random() % 10);
        node.fail(1, times, 2);
        failed += times;
        ASSERT_FALSE(node.ejected(1)) << "history " << history;
        ASSERT_FALSE(node.ejectedFor(1, 1));
        if (times >= 2) {
          ASSERT_TRUE(node.ejectedFor(1, 2)) << "history " << history << " step " << step;
        }
      }
      node.clock.set(next - Nanos(static_cast<std::int64_t>(random() % kEpoch.count())));
      node.succeed(1, 1, 1);
    }
    EXPECT_EQ(node.stats().ejections_enforced[SM_DETECTOR_CONSECUTIVE_5XX], 0U);
    EXPECT_GT(node.stats().ejections_own, 0U) << failed;
  }
}

// A liar that is served all the time keeps nobody from seeing that the endpoint fails.
TEST(Clients, WhoIsServedEndsNobodyElsesRun) {
  Node node(threshold(5), 1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(node.ejectedFor(1, 2));
    node.succeed(1, 10, 1);
    node.fail(1, 1, 2);
  }
  EXPECT_TRUE(node.ejectedFor(1, 2)) << "as its own Envoy would have done";
  EXPECT_FALSE(node.ejected(1)) << "the other one is served";
}

TEST(Clients, ASuccessEndsTheClientsOwnRun) {
  Node node(threshold(3), 1);
  node.succeed(1, 1, 1);
  for (int i = 0; i < 20; ++i) {
    node.fail(1, 2, 2);
    node.succeed(1, 1, 2);
  }
  EXPECT_FALSE(node.ejectedFor(1, 2));
  EXPECT_EQ(node.state(1).runs, 0U);
}

// Two that meet the same dead endpoint, in any order: never more than the threshold of each.
TEST(Clients, TwoHonestOnesAgreeWithinTheThresholdOfEach) {
  std::mt19937 random(3);
  for (const int failures : {1, 2, 5}) {
    for (int history = 0; history < 200; ++history) {
      Node node(threshold(static_cast<std::uint32_t>(failures)), 1);
      node.succeed(1, 1, 1);
      node.succeed(1, 1, 2);
      std::map<std::uint64_t, int> met;
      while (!node.ejected(1)) {
        const std::uint64_t client = 1 + random() % 2;
        if (node.ejectedFor(1, client)) continue;  // it does not go there
        node.fail(1, 1, client);
        ASSERT_LE(++met[client], failures);
      }
      EXPECT_EQ(met[1], failures);
      EXPECT_EQ(met[2], failures);
    }
  }
}

TEST(Clients, MoreThanHalfOfThemEjectForAll) {
  for (int count = 2; count <= 60; ++count) {
    Node node(threshold(3), 1);
    for (int client = 1; client <= count; ++client)
      node.succeed(1, 1, static_cast<std::uint64_t>(client));
    int voices = 0;
    while (!node.ejected(1)) node.fail(1, 3, static_cast<std::uint64_t>(++voices));
    EXPECT_EQ(voices, std::max(count / 2 + 1, 2)) << count << " clients";
    EXPECT_EQ(node.stats().ejections_own, static_cast<std::uint64_t>(voices - 1));
  }
}

TEST(Clients, AVoiceIsTakenBackByASuccess) {
  Node node(threshold(1), 1);
  for (std::uint64_t client = 1; client <= 3; ++client) node.succeed(1, 1, client);
  node.fail(1, 1, 1);
  node.clock.advance(seconds(31));
  node.succeed(1, 1, 1);
  node.fail(1, 1, 2);
  EXPECT_FALSE(node.ejected(1)) << "the first one is served again";
  node.fail(1, 1, 3);
  EXPECT_TRUE(node.ejected(1));
}

TEST(Clients, AReturnOfTheEndpointEndsAllRunsAndVoices) {
  Node node(threshold(4), 1);
  for (std::uint64_t client = 1; client <= 3; ++client) node.succeed(1, 1, client);
  node.fail(1, 3, 3);
  node.fail(1, 4, 1);
  node.fail(1, 4, 2);
  ASSERT_TRUE(node.ejected(1));
  node.clock.advance(seconds(31));
  ASSERT_TRUE(node.lines.uneject(kC, host(1)));
  node.fail(1, 1, 3);
  EXPECT_FALSE(node.ejectedFor(1, 3)) << "three failures were before";
  node.fail(1, 3, 3);
  EXPECT_TRUE(node.ejectedFor(1, 3));
  EXPECT_FALSE(node.ejected(1));
}

TEST(Clients, OwnEjectionsLastLongerEachTimeAndDecay) {
  auto settings = threshold(1);
  settings.baseEjectionTime = seconds(10);
  settings.interval = seconds(20);
  Node node(settings, 1);
  node.hints = false;
  const auto eject = [&] {
    node.lines.state(kC).interval_ns = 20'000'000'000;
    node.succeed(1, 1, 1);
    node.fail(1, 1, 2);
    const auto& run = node.lines.line(kC, host(1)).runs.at(2);
    return run.ejected_until_ns - run.ejected_at_ns;
  };
  EXPECT_EQ(eject(), 10'000'000'000U);
  node.clock.advance(seconds(11));
  EXPECT_EQ(eject(), 20'000'000'000U);
  node.clock.advance(seconds(21));
  EXPECT_EQ(eject(), 30'000'000'000U);
  // Over for two intervals: the multiplier has decayed by two.
  node.clock.advance(seconds(30 + 41));
  EXPECT_EQ(eject(), 20'000'000'000U);
}

TEST(Clients, TheLimitHoldsForEach) {
  auto settings = threshold(1);
  settings.maxEjectionPercent = 50;
  Node node(settings, 4);
  for (int number = 1; number <= 4; ++number) node.succeed(number, 1, 1);
  for (int number = 1; number <= 4; ++number) node.fail(number, 1, 2);
  int own = 0;
  for (int number = 1; number <= 4; ++number) own += node.ejectedFor(number, 2) ? 1 : 0;
  EXPECT_EQ(own, 2);
  EXPECT_EQ(node.stats().ejections_overflow, 2U);
  EXPECT_TRUE(node.ejectedHosts().empty());
}

TEST(Epochs, WhoUsedItCountsForThisEpochAndTheNext) {
  for (const auto& [later, alone] : {std::pair{0, false}, {1, false}, {2, true}, {3, true}}) {
    Node node(threshold(5), 1);
    node.clock.set(10 * kEpoch + milliseconds(1));
    node.succeed(1, 1, 1);
    node.clock.set((10 + later) * kEpoch + milliseconds(1));
    node.fail(1, 5, 2);
    EXPECT_EQ(node.ejected(1), alone) << later << " epochs later";
    EXPECT_EQ(node.ejectedFor(1, 2), !alone);
  }
}

// A CPU that read the clock before the turn of the epoch and writes after it.
TEST(Epochs, ALateCpuForgetsNothing) {
  Node node(threshold(2), 1);
  node.clock.set(5 * kEpoch + Nanos(1));
  node.succeed(1, 1, 1);
  node.clock.set(5 * kEpoch - Nanos(1));
  node.fail(1, 10, 2);
  EXPECT_FALSE(node.ejected(1));
}

// A plain model of the same rules, with names where the kernel has bits and words.
struct Model {
  struct Client {
    int run = 0;
    Nanos until{0};
  };
  std::map<std::uint64_t, Client> clients;
  std::map<std::uint64_t, std::int64_t> usedEpoch;
  std::set<std::uint64_t> voices;
  bool ejected = false;
  int limit = 0;

  void outcome(std::uint64_t client, bool success, Nanos now) {
    const std::int64_t epoch = now / kEpoch;
    usedEpoch[client] = epoch;
    Client& own = clients[client];
    const bool lasts = own.until > now;
    if (own.until != Nanos(0) && !lasts) own = {};
    if (success) {
      own.run = 0;
      if (!lasts) voices.erase(client);
      return;
    }
    if (++own.run % limit != 0 || ejected || lasts) return;
    std::set<std::uint64_t> users;
    for (const auto& [who, when] : usedEpoch)
      if (epoch - when <= 1) users.insert(who);
    std::size_t agree = 1;
    for (const auto who : voices) agree += who != client && users.contains(who) ? 1 : 0;
    if (users.size() == 1 || (agree >= 2 && 2 * agree > users.size())) {
      ejected = true;
      voices.clear();
      return;
    }
    own.until = now + seconds(30);
    voices.insert(client);
  }
  void back() {
    ejected = false;
    for (auto& [who, client] : clients) client.run = 0;
  }
};

TEST(Clients, RandomHistoriesAreTheModels) {
  std::mt19937 random(5);
  int ejections = 0;
  int ownEjections = 0;
  for (int history = 0; history < 3000 && !testing::Test::HasFailure(); ++history) {
    auto settings = threshold(1 + random() % 4);
    settings.maxEjectionTime = seconds(30);  // all ejections are as long
    Node node(settings, 1);
    node.clock.set(Nanos(static_cast<std::int64_t>(random() % kEpoch.count())));
    Model model;
    model.limit = static_cast<int>(settings.consecutive5xx);
    const auto count = 1 + random() % 9;
    const auto badness = random() % 100;
    // A voice lasts two epochs at most; histories stay within one, from now on.
    const Nanos end = node.clock.monotonic() / kEpoch * kEpoch + 2 * kEpoch - Nanos(1);
    for (int step = 0; step < 200; ++step) {
      SCOPED_TRACE("history " + std::to_string(history) + " step " + std::to_string(step));
      const Nanos next = node.clock.monotonic() + milliseconds(random() % 1000);
      if (next >= end) break;
      node.clock.set(next);
      const std::uint64_t client = 1 + random() % count;
      const bool success = random() % 100 >= badness;
      const bool due = node.ejected(1) &&
                       node.state(1).ejected_until_ns <= static_cast<std::uint64_t>(next.count());
      if (due) model.back();
      success ? node.succeed(1, 1, client) : node.fail(1, 1, client);
      model.outcome(client, success, next);
      ASSERT_EQ(node.ejected(1), model.ejected);
      for (std::uint64_t who = 1; who <= count; ++who)
        ASSERT_EQ(node.ejectedFor(1, who), model.clients[who].until > next) << "client " << who;
    }
    ejections += static_cast<int>(node.enforced(Detector::kConsecutive5xx));
    ownEjections += static_cast<int>(node.stats().ejections_own);
  }
  EXPECT_GT(ejections, 500);
  EXPECT_GT(ownEjections, 500);
}

}  // namespace
}  // namespace sockmesh
