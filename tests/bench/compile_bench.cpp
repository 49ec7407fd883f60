// SPDX-License-Identifier: Apache-2.0
// The price of compiling: many services at once, and then one endpoint's change among them.
#include <time.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "lb/compiler.h"

namespace sockmesh {
namespace {

constexpr int kServices = 10000;
constexpr int kEndpoints = 10;

// CPU time of this process, so that other work on the machine does not count.
double milliseconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec ts{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return static_cast<double>(ts.tv_sec) * 1e3 + static_cast<double>(ts.tv_nsec) / 1e6;
  };
  const double start = now();
  work();
  return now() - start;
}

IpAddress address(int number) {
  return IpAddress::v4({10, static_cast<std::uint8_t>(number >> 16),
                        static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)});
}

std::shared_ptr<LoadAssignment> endpointsOf(int service, bool weighted) {
  auto made = std::make_shared<LoadAssignment>();
  for (int zone = 0; zone < 2; ++zone) {
    LocalityEndpoints group;
    group.locality = Locality{"region", zone == 0 ? "a" : "b", {}};
    group.weight = static_cast<std::uint32_t>(1 + zone);
    for (int i = zone; i < kEndpoints; i += 2) {
      Endpoint endpoint;
      endpoint.address = {address(service * kEndpoints + i), 8080};
      if (weighted) endpoint.weight = static_cast<std::uint32_t>(1 + (service + i * 7) % 100);
      group.endpoints.push_back(endpoint);
    }
    made->localities.push_back(group);
  }
  return made;
}

Snapshot snapshotOf(LbPolicy policy, LocalityMode mode, bool weighted) {
  Snapshot snapshot;
  snapshot.complete = true;
  for (int i = 0; i < kServices; ++i) {
    const std::string name =
        "outbound|80||service-" + std::to_string(i) + ".default.svc.cluster.local";
    auto cluster = std::make_shared<Cluster>();
    cluster->name = name;
    cluster->edsName = name;
    cluster->lb.policy = policy;
    cluster->lb.localityMode = mode;
    cluster->lb.maglevTableSize = 1009;
    cluster->outlierDetection.emplace();
    snapshot.clusters[name] = cluster;
    snapshot.assignments[name] = endpointsOf(i, weighted);
    auto listener = std::make_shared<Listener>();
    listener->name = "listener-" + std::to_string(i);
    listener->addresses.emplace_back(address((1 << 23) + i), 80);
    listener->route.clusters.push_back({name, 1, {}});
    snapshot.listeners[listener->name] = listener;
  }
  return snapshot;
}

void measure(const char* what, LbPolicy policy, LocalityMode mode, bool weighted) {
  Snapshot snapshot = snapshotOf(policy, mode, weighted);
  Compiler compiler({});
  const Nanos now = std::chrono::seconds(1);
  const double all = milliseconds([&] { (void)compiler.compile(snapshot, {}, now); });
  const std::string& name = snapshot.clusters.begin()->first;
  HealthOverlay overlay;
  overlay.byCluster[name][{address(0), 8080}].ejected = true;
  double one = 0;
  Changes changed;
  changed.clusters = {name};
  constexpr int kRounds = 200;
  for (int i = 0; i < kRounds; ++i) {
    overlay.byCluster[name][{address(0), 8080}].ejected = i % 2 == 0;
    one += milliseconds([&] { (void)compiler.compile(snapshot, overlay, changed, now); });
  }
  const double none = milliseconds([&] { (void)compiler.compile(snapshot, overlay, now); });
  std::printf("%-34s all %7.1f ms   one ejection %6.3f ms   look at all %6.2f ms\n", what, all,
              one / kRounds, none);
}

}  // namespace
}  // namespace sockmesh

int main() {
  using namespace sockmesh;
  std::printf("%d services of %d endpoints\n", kServices, kEndpoints);
  measure("round robin", LbPolicy::kRoundRobin, LocalityMode::kFlat, false);
  measure("round robin, endpoint weights", LbPolicy::kRoundRobin, LocalityMode::kFlat, true);
  measure("round robin, locality weights", LbPolicy::kRoundRobin, LocalityMode::kLocalityWeighted,
          false);
  measure("round robin, both weights", LbPolicy::kRoundRobin, LocalityMode::kLocalityWeighted,
          true);
  measure("random", LbPolicy::kRandom, LocalityMode::kFlat, false);
  measure("least request, endpoint weights", LbPolicy::kLeastRequest, LocalityMode::kFlat, true);
  measure("maglev of 1009", LbPolicy::kMaglev, LocalityMode::kFlat, false);
  measure("ring hash of 1024", LbPolicy::kRingHash, LocalityMode::kFlat, false);
  return 0;
}
