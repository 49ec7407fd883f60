// SPDX-License-Identifier: Apache-2.0
// One node with one cluster "c" of endpoints 10.0.0.1:80, 10.0.0.2:80, ...: the detector over fake
// endpoint states under a manual clock. Hints are delivered, unless a test holds them back.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "health/outlier_detector.h"
#include "unit/health/fake_state_access.h"

namespace sockmesh {

inline const std::string kC = "c";
constexpr std::uint64_t kClient = 4711;

SocketAddress host(int number);
std::shared_ptr<const LoadAssignment> hosts(int count);
std::shared_ptr<const LoadAssignment> hosts(std::initializer_list<int> numbers);
std::shared_ptr<const Cluster> cluster(const std::optional<OutlierDetection>& settings,
                                       const std::string& name = kC);

struct Node {
  ManualClock clock;
  FakeStateAccess lines{clock};
  std::vector<EjectionEvent> events;
  OutlierDetector detector{lines, [this](const EjectionEvent& event) { events.push_back(event); }};
  std::shared_ptr<const Cluster> resource;
  std::shared_ptr<const LoadAssignment> assignment;
  bool hints = true;

  // `settings` absent: no outlier_detection.
  Node(const std::optional<OutlierDetection>& settings, int count);

  void configure(std::shared_ptr<const Cluster> to, std::shared_ptr<const LoadAssignment> with);
  void watch();

  void succeed(int number, int times = 1, std::uint64_t client = kClient);
  void fail(int number, int times = 1, std::uint64_t client = kClient);
  // Advances to the next sweep, and sweeps.
  void sweep();
  // Sweeps whenever it is due on the way.
  void advance(Nanos by);

  bool ejected(int number) { return lines.ejected(kC, host(number)); }
  bool ejectedFor(int number, std::uint64_t client) {
    return lines.ejectedOwn(kC, host(number), client);
  }
  std::vector<int> ejectedHosts();
  bool inOverlay(int number) const { return detector.overlay()->find(kC, host(number)); }
  const sm_cluster_stats& stats() { return lines.stats(kC); }
  sm_endpoint_state& state(int number) { return lines.line(kC, host(number)).state; }
  std::uint64_t detected(Detector by) { return stats().ejections_detected[static_cast<int>(by)]; }
  std::uint64_t enforced(Detector by) { return stats().ejections_enforced[static_cast<int>(by)]; }

 private:
  void outcome(int number, int times, std::uint64_t client, bool success);
};

}  // namespace sockmesh
