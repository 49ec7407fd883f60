// SPDX-License-Identifier: Apache-2.0
// Envoy's outlier detector as its description tells it, for comparison: host monitors that count
// results, two buckets each, counters set back one by one. It shares nothing with the detector
// except the configuration's type, and is not fast.
//
// One rule is not Envoy's. The kernel unejects an endpoint whose time is over if a connection to it
// ends before the next sweep (in-flight connects of an ejected host); connectEnds() says so.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/cluster.h"

namespace sockmesh::reference {

enum Type {
  CONSECUTIVE_5XX = 0,
  CONSECUTIVE_GATEWAY_FAILURE = 1,
  SUCCESS_RATE = 2,
  CONSECUTIVE_LOCAL_ORIGIN_FAILURE = 3,
  SUCCESS_RATE_LOCAL_ORIGIN = 4,
  FAILURE_PERCENTAGE = 5,
  FAILURE_PERCENTAGE_LOCAL_ORIGIN = 6,
};

struct Bucket {
  double total = 0;
  double success = 0;
};

// Success rates of one origin: a bucket being written, and the last interval's.
struct Monitor {
  std::array<Bucket, 2> buckets;
  int writing = 0;
  Bucket& now() { return buckets[writing]; }
  const Bucket& last() const { return buckets[1 - writing]; }
  void rotate() {
    writing = 1 - writing;
    buckets[writing] = {};
  }
};

struct Host {
  Monitor external;
  Monitor local;
  unsigned consecutive5xx = 0;
  unsigned consecutiveGateway = 0;
  unsigned consecutiveLocal = 0;
  bool ejected = false;
  unsigned ejections = 0;
  unsigned multiplier = 0;
  Nanos ejectionTime{0};
  std::optional<Nanos> unejectionTime;
};

// "eject CONSECUTIVE_5XX of 3 at 7", as told to the log.
struct Told {
  bool eject;
  int type;
  int host;
  bool enforced;
  unsigned ejections;
  Nanos at;
  std::optional<Nanos> since;  // the action before
  bool operator==(const Told&) const = default;
};

class Detector {
 public:
  // Enforcing percentages are 0 or 100, and there is no jitter, so there is no randomness.
  Detector(const OutlierDetection& config, Nanos now)
      : config_(config), due_(now + config.interval) {}

  void setHosts(const std::set<int>& numbers);
  void connectEnds(int number, bool success, Nanos now);
  Nanos due() const { return due_; }
  void onInterval(Nanos now);

  const std::map<int, Host>& hosts() const { return hosts_; }
  std::array<std::uint64_t, 7> detected{};
  std::array<std::uint64_t, 7> enforced{};
  std::uint64_t overflow = 0;
  std::vector<Told> log;

 private:
  void httpCode(int number, int code, Nanos now);
  void localFailure(int number, Nanos now);
  void consecutive(int number, Type type, Nanos now);
  void evaluate(Monitor Host::*monitor, bool local, Nanos now);
  void detect(int number, Type type, Nanos now);
  void uneject(int number, Nanos now);
  unsigned enforcing(Type type) const;

  OutlierDetection config_;
  Nanos due_;
  std::map<int, Host> hosts_;
  int active_ = 0;
};

}  // namespace sockmesh::reference
