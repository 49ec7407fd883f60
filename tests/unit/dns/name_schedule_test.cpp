// SPDX-License-Identifier: Apache-2.0
// When names are asked for: refresh rate, TTL, jitter, backoff, sharing and the bound on open
// questions.
#include "dns/name_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

DnsAnswer answer(const std::vector<std::string>& addresses, int ttl = 0) {
  std::vector<DnsAddress> all;
  for (const std::string& one : addresses) all.push_back({ip(one), seconds(ttl)});
  return all;
}

const DnsAnswer kFailure = Error("server failure");
const DnsQuestion kName{"a.example", DnsFamily::kV4Only, {}};

struct Refresh {
  Nanos rate = seconds(5);
  Nanos jitter{0};
  bool respectTtl = false;
  bool ttlOfFirst = false;
  bool emptyIsFailure = false;
  std::optional<DnsFailureRate> failureRate{};

  DnsRefresh made() const {
    DnsRefresh refresh;
    refresh.rate = rate;
    refresh.jitter = jitter;
    refresh.respectTtl = respectTtl;
    refresh.ttlOfFirst = ttlOfFirst;
    refresh.emptyIsFailure = emptyIsFailure;
    refresh.failureRate = failureRate;
    return refresh;
  }
};

class Schedule : public ::testing::Test {
 protected:
  void add(const std::string& user, const Refresh& refresh) {
    names_.add(user, kName, refresh.made(), now_);
  }
  // The question is put, which must be due, and answered. How long until the next one.
  Nanos delayAfter(const DnsAnswer& given) {
    EXPECT_THAT(names_.takeDue(now_), ElementsAre(kName));
    users_ = names_.answered(kName, given, now_);
    const Nanos next = names_.next().value_or(now_);
    return next - std::exchange(now_, next);
  }

  NameSchedule names_{1};
  Nanos now_ = seconds(100);
  std::vector<std::string> users_;  // who was told at the last answer
};

TEST_F(Schedule, ANameIsAskedForAtOnceAndAgainAfterTheRefreshRate) {
  add("c", {});
  EXPECT_EQ(delayAfter(answer({"10.0.0.1"})), seconds(5));
  EXPECT_THAT(users_, ElementsAre("c"));
  EXPECT_EQ(delayAfter(answer({"10.0.0.1"})), seconds(5));
  EXPECT_THAT(users_, IsEmpty()) << "an equal answer is no news";
}

TEST_F(Schedule, TheTimeRunsFromTheEndOfTheQuestion) {
  add("c", {});
  EXPECT_THAT(names_.takeDue(now_), SizeIs(1));
  EXPECT_EQ(names_.next(), std::nullopt) << "one question at a time";
  names_.answered(kName, answer({"10.0.0.1"}), now_ + seconds(3));
  EXPECT_EQ(names_.next(), now_ + seconds(8));
}

TEST_F(Schedule, TheSmallestTtlCountsAndZeroDoesNot) {
  add("c", {.respectTtl = true});
  EXPECT_EQ(delayAfter(std::vector<DnsAddress>{{ip("10.0.0.1"), seconds(90)},
                                               {ip("10.0.0.2"), seconds(30)}}),
            seconds(30));
  EXPECT_EQ(delayAfter(answer({"10.0.0.1"}, 0)), seconds(5));
  EXPECT_EQ(delayAfter(answer({})), seconds(5)) << "an empty answer has no TTL";
}

TEST_F(Schedule, TheFirstRecordsTtlCountsInALogicalCluster) {
  add("c", {.respectTtl = true, .ttlOfFirst = true});
  EXPECT_EQ(delayAfter(std::vector<DnsAddress>{{ip("10.0.0.1"), seconds(90)},
                                               {ip("10.0.0.2"), seconds(30)}}),
            seconds(90));
}

TEST_F(Schedule, JitterIsAddedToRateAndTtl) {
  add("c", {.jitter = seconds(10), .respectTtl = true});
  Nanos least = seconds(1000);
  Nanos most{0};
  for (int i = 0; i < 200; ++i) {
    const Nanos delay = delayAfter(answer({"10.0.0.1"}, 20));
    EXPECT_GE(delay, seconds(20));
    EXPECT_LT(delay, seconds(30));
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_LT(least, seconds(22));
  EXPECT_GT(most, seconds(28));
}

TEST_F(Schedule, FailuresBackOffToTheMaximumAndASuccessResetsThem) {
  add("c", {.failureRate = DnsFailureRate{seconds(1), seconds(8)}});
  const auto largest = [this](int failures) {
    Nanos delay{0};
    for (int i = 0; i < failures; ++i) delay = std::max(delay, delayAfter(kFailure));
    return delay;
  };
  EXPECT_LE(largest(1), seconds(1));
  EXPECT_LE(largest(1), seconds(2));
  EXPECT_LE(largest(1), seconds(4));
  const Nanos late = largest(100);
  EXPECT_LE(late, seconds(8));
  EXPECT_GT(late, seconds(6)) << "full jitter up to the maximum";
  EXPECT_EQ(delayAfter(answer({"10.0.0.1"})), seconds(5));
  EXPECT_LE(largest(1), seconds(1));
}

TEST_F(Schedule, WithoutAFailureRateFailuresWaitForTheRefreshRate) {
  add("c", {.rate = seconds(7)});
  EXPECT_EQ(delayAfter(kFailure), seconds(7));
  EXPECT_EQ(delayAfter(kFailure), seconds(7));
}

TEST_F(Schedule, AnEmptyAnswerIsAFailureOfALogicalCluster) {
  const DnsFailureRate rate{milliseconds(1), milliseconds(2)};
  add("c", {.emptyIsFailure = true, .failureRate = rate});
  EXPECT_LE(delayAfter(answer({})), milliseconds(2));
  EXPECT_EQ(names_.find(kName)->problem, "the name has no address");
}

TEST_F(Schedule, AFailureKeepsTheLastAddressesAndSaysWhy) {
  add("c", {});
  delayAfter(answer({"10.0.0.1", "10.0.0.2"}));
  delayAfter(kFailure);
  EXPECT_THAT(users_, IsEmpty()) << "the endpoints are the same";
  EXPECT_THAT(names_.find(kName)->addresses, ElementsAre(ip("10.0.0.1"), ip("10.0.0.2")));
  EXPECT_EQ(names_.find(kName)->problem, "server failure");
  delayAfter(answer({}));
  EXPECT_THAT(names_.find(kName)->addresses, IsEmpty()) << "no address is an answer";
  EXPECT_EQ(names_.counts().answered, 2U);
  EXPECT_EQ(names_.counts().failed, 1U);
}

TEST_F(Schedule, AddressesKeepTheirPlacesWhenAServerRotatesThem) {
  add("c", {});
  delayAfter(answer({"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
  delayAfter(answer({"10.0.0.3", "10.0.0.4", "10.0.0.1", "10.0.0.4"}));
  EXPECT_THAT(names_.find(kName)->addresses,
              ElementsAre(ip("10.0.0.1"), ip("10.0.0.3"), ip("10.0.0.4")));
  EXPECT_EQ(names_.find(kName)->inOrder.front(), ip("10.0.0.3"));
}

TEST_F(Schedule, UsersShareANameAndTheFirstWhoIsDueAsks) {
  add("slow", {.rate = seconds(60)});
  delayAfter(answer({"10.0.0.1"}));
  now_ -= seconds(50);
  add("fast", {.rate = seconds(20)});
  EXPECT_EQ(names_.names(), 1U);
  EXPECT_THAT(names_.takeDue(now_), IsEmpty()) << "the answer of 10 s ago is good enough";
  EXPECT_EQ(*names_.next() - now_, seconds(10));
  now_ = *names_.next();
  delayAfter(answer({"10.0.0.2"}));
  EXPECT_THAT(users_, ElementsAre("fast", "slow"));
  names_.remove("fast", kName);
  EXPECT_EQ(*names_.next(), now_ + seconds(40)) << "60 s after the answer, 20 s of which are over";
}

TEST_F(Schedule, ANewUserAsksAtOnceWhereTheLastQuestionFailed) {
  add("a", {.rate = seconds(60)});
  delayAfter(kFailure);
  now_ -= seconds(59);
  add("b", {.rate = seconds(60)});
  EXPECT_THAT(names_.takeDue(now_), SizeIs(1));
}

TEST_F(Schedule, ANameWithoutUsersIsForgottenWhateverIsOpen) {
  add("c", {});
  EXPECT_THAT(names_.takeDue(now_), SizeIs(1));
  names_.remove("c", kName);
  EXPECT_THAT(names_.answered(kName, answer({"10.0.0.1"}), now_), IsEmpty());
  EXPECT_EQ(names_.find(kName), nullptr);
  EXPECT_EQ(names_.names(), 0U);
  EXPECT_EQ(names_.next(), std::nullopt);
}

TEST_F(Schedule, ANameThatComesBackWhileItsQuestionIsOpenTakesTheAnswer) {
  add("c", {});
  EXPECT_THAT(names_.takeDue(now_), SizeIs(1));
  names_.remove("c", kName);
  add("d", {});
  EXPECT_THAT(names_.takeDue(now_), IsEmpty());
  EXPECT_THAT(names_.answered(kName, answer({"10.0.0.1"}), now_), ElementsAre("d"));
}

TEST(ScheduleBound, OpenQuestionsAreBoundedAndEachIsPutInTheEnd) {
  NameSchedule names(1);
  std::set<std::string> wanted;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "n" + std::to_string(i);
    names.add("c", {name, DnsFamily::kAuto, {}}, {}, Nanos(0));
    wanted.insert(name);
  }
  std::set<std::string> asked;
  std::vector<DnsQuestion> open = names.takeDue(Nanos(0));
  while (!open.empty()) {
    EXPECT_LE(open.size(), NameSchedule::kParallel);
    EXPECT_THAT(names.takeDue(Nanos(0)), IsEmpty());
    for (const DnsQuestion& one : open) {
      asked.insert(one.name);
      names.answered(one, kFailure, Nanos(0));
    }
    open = names.takeDue(Nanos(0));
  }
  EXPECT_EQ(asked, wanted);
}

TEST_F(Schedule, WhatAnEarlierAgentKnewCountsUntilTheFirstAnswer) {
  add("a", {});
  KnownName earlier;
  earlier.addresses = earlier.inOrder = {ip("10.0.0.1")};
  earlier.answered = earlier.ended = earlier.stale = true;
  names_.recall(kName, earlier);
  EXPECT_TRUE(names_.find(kName)->stale);
  delayAfter(kFailure);
  EXPECT_TRUE(names_.find(kName)->stale) << "a failure is no answer";
  EXPECT_THAT(names_.find(kName)->addresses, ElementsAre(ip("10.0.0.1")));
  now_ = *names_.next();
  delayAfter(answer({"10.0.0.2"}));
  EXPECT_FALSE(names_.find(kName)->stale);
  EXPECT_THAT(names_.find(kName)->addresses, ElementsAre(ip("10.0.0.2")));
  names_.recall(kName, earlier);
  EXPECT_FALSE(names_.find(kName)->stale) << "an answer is better";
}

}  // namespace
}  // namespace sockmesh
