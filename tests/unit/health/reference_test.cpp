// SPDX-License-Identifier: Apache-2.0
// Random histories through the kernel's rules and the agent's detector on one side, and through a
// plain model of Envoy's detector on the other. After every step both have the same ejections and
// counts.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <sstream>

#include "unit/health/node.h"
#include "unit/health/reference_detector.h"

namespace sockmesh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class History {
 public:
  explicit History(unsigned seed)
      : random_(seed),
        config_(randomConfig()),
        present_(randomHosts()),
        node_(config_, 0),
        model_(config_, node_.clock.monotonic()) {
    node_.hints = pick(3) != 0;
    setHosts();
  }

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step) + what());
      takeStep();
      compare();
    }
  }

  const std::array<std::uint64_t, 7>& enforced() const { return model_.enforced; }
  std::uint64_t overflow() const { return model_.overflow; }

 private:
  unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
  template <typename T>
  T oneOf(std::initializer_list<T> values) {
    return values.begin()[pick(static_cast<unsigned>(values.size()))];
  }

  OutlierDetection randomConfig();
  std::set<int> randomHosts();
  void setHosts();
  void takeStep();
  void traffic();
  void pass(Nanos time);
  void compare();
  void compareLog();
  std::string what() const;

  std::mt19937 random_;
  OutlierDetection config_;
  std::set<int> present_;
  Node node_;
  reference::Detector model_;
};

OutlierDetection History::randomConfig() {
  const auto dice = [this] { return oneOf({0U, 100U, 100U}); };
  OutlierDetection config;
  config.consecutive5xx = pick(7);
  config.consecutiveGatewayFailure = pick(7);
  config.consecutiveLocalOriginFailure = pick(5);
  config.interval = milliseconds(oneOf({1, 700, 1000, 10000}));
  config.baseEjectionTime = milliseconds(oneOf({1, 1000, 1500, 3000, 30000}));
  config.maxEjectionTime =
      config.baseEjectionTime * oneOf({1, 2, 5, 10}) + milliseconds(pick(1000));
  config.maxEjectionPercent = oneOf({0U, 10U, 20U, 34U, 50U, 100U, 100U, 100U, pick(101)});
  config.alwaysEjectOneHost = pick(3) == 0;
  config.enforcingConsecutive5xx = dice();
  config.enforcingConsecutiveGatewayFailure = dice();
  config.enforcingConsecutiveLocalOriginFailure = dice();
  config.enforcingSuccessRate = dice();
  config.enforcingLocalOriginSuccessRate = dice();
  config.enforcingFailurePercentage = dice();
  config.enforcingFailurePercentageLocalOrigin = dice();
  config.splitExternalLocalOriginErrors = pick(2) == 0;
  config.successRateMinimumHosts = pick(8);
  config.successRateRequestVolume = pick(12);
  config.successRateStdevFactor = oneOf({0U, 500U, 1000U, 1500U, 1900U});
  config.failurePercentageMinimumHosts = pick(8);
  config.failurePercentageRequestVolume = pick(12);
  config.failurePercentageThreshold = oneOf({0U, 30U, 50U, 85U, 100U});
  return config;
}

std::set<int> History::randomHosts() {
  std::set<int> numbers;
  for (unsigned n = pick(13); n > 0; --n) numbers.insert(static_cast<int>(1 + pick(16)));
  return numbers;
}

void History::setHosts() {
  auto assignment = std::make_shared<LoadAssignment>();
  for (const int number : present_) {
    // In several localities, some of them twice. Localities make no difference to the detector.
    auto& locality = assignment->localities.emplace_back();
    locality.endpoints.resize(1 + pick(2));
    for (auto& endpoint : locality.endpoints) endpoint.address = host(number);
  }
  node_.configure(node_.resource, assignment);
  model_.setHosts(present_);
}

// Mostly one host's connects in a row, some of them to ejected hosts: connects in flight.
void History::traffic() {
  if (present_.empty()) return;
  const int number = *std::next(present_.begin(), pick(static_cast<unsigned>(present_.size())));
  // Some hosts are worse than others.
  const unsigned badness = number % 4 == 0 ? 80 : number % 4 == 1 ? 40 : 5;
  for (unsigned n = 1 + pick(8); n > 0; --n) {
    const bool success = pick(100) >= badness;
    if (success)
      node_.succeed(number);
    else
      node_.fail(number);
    model_.connectEnds(number, success, node_.clock.monotonic());
  }
}

void History::pass(Nanos time) {
  const Nanos end = node_.clock.monotonic() + time;
  // Some sweeps are late: the control thread was busy.
  while (model_.due() <= end) {
    ASSERT_EQ(node_.detector.nextSweep(), model_.due());
    const Nanos late = pick(4) == 0 ? milliseconds(pick(300)) : Nanos{0};
    node_.clock.set(std::max(node_.clock.monotonic(), model_.due() + late));
    node_.detector.sweep(node_.clock.monotonic());
    model_.onInterval(node_.clock.monotonic());
  }
  node_.clock.set(std::max(node_.clock.monotonic(), end));
}

void History::takeStep() {
  const unsigned kind = pick(100);
  if (kind < 80) {
    traffic();
  } else if (kind < 97) {
    // In intervals, or to where ejections run out.
    const auto intervals = config_.interval * (1 + pick(8)) / 4;
    pass(pick(4) != 0 ? intervals
                      : Nanos(std::min(config_.baseEjectionTime, 20 * config_.interval)));
  } else {
    present_ = pick(2) == 0 ? randomHosts() : present_;
    if (pick(2) == 0) present_.insert(static_cast<int>(1 + pick(16)));
    if (!present_.empty() && pick(2) == 0) present_.erase(present_.begin());
    setHosts();
  }
}

void History::compare() {
  int ejected = 0;
  for (const auto& [number, expected] : model_.hosts()) {
    const auto& state = node_.state(number);
    ejected += expected.ejected ? 1 : 0;
    ASSERT_EQ(state.ejected_until_ns != 0, expected.ejected) << "host " << number;
    ASSERT_EQ(state.multiplier, expected.multiplier) << "host " << number;
    ASSERT_EQ(state.ejections, expected.ejections) << "host " << number;
    if (node_.hints) {
      ASSERT_EQ(node_.inOverlay(number), expected.ejected) << "host " << number;
    }
  }
  ASSERT_EQ(node_.lines.state(kC).ejected, static_cast<std::uint32_t>(ejected));
  for (int type = 0; type < 7; ++type) {
    ASSERT_EQ(node_.stats().ejections_detected[type], model_.detected[type]) << "type " << type;
    ASSERT_EQ(node_.stats().ejections_enforced[type], model_.enforced[type]) << "type " << type;
  }
  ASSERT_EQ(node_.stats().ejections_overflow, model_.overflow);
  if (node_.hints) compareLog();
}

void History::compareLog() {
  ASSERT_EQ(node_.events.size(), model_.log.size());
  for (std::size_t i = 0; i < node_.events.size(); ++i) {
    const auto& event = node_.events[i];
    const reference::Told& expected = model_.log[i];
    ASSERT_EQ(event.action == EjectionEvent::Action::kEject, expected.eject);
    ASSERT_EQ(event.address, host(expected.host));
    ASSERT_EQ(event.enforced, expected.enforced);
    ASSERT_EQ(event.ejections, expected.ejections);
    ASSERT_EQ(event.at, expected.at);
    ASSERT_EQ(event.sinceLastAction, expected.since);
    if (expected.eject) {
      ASSERT_EQ(static_cast<int>(event.detector), expected.type);
    }
  }
  node_.events.clear();
  model_.log.clear();
}

std::string History::what() const {
  std::ostringstream text;
  text << ", " << present_.size() << " hosts, max " << config_.maxEjectionPercent << " %, at "
       << node_.clock.monotonic().count() / 1000000 << " ms";
  return text.str();
}

TEST(Reference, RandomHistoriesAreEnvoys) {
  std::array<std::uint64_t, 7> enforced{};
  std::uint64_t overflow = 0;
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    history.run(150);
    if (HasFailure()) return;
    for (int type = 0; type < 7; ++type) enforced[type] += history.enforced()[type];
    overflow += history.overflow();
  }
  // The histories are useful only if everything happens in them.
  for (int type = 0; type < 7; ++type) EXPECT_GT(enforced[type], 1000U) << "type " << type;
  EXPECT_GT(overflow, 1000U);
}

}  // namespace
}  // namespace sockmesh
