// SPDX-License-Identifier: Apache-2.0
#include "lb/slow_start.h"

#include <algorithm>
#include <cmath>

#include "lb/host_set.h"

namespace sockmesh {

double slowStartFactor(const SlowStart& config, Nanos age) {
  if (age >= config.window) return 1;
  const double aged =
      static_cast<double>(std::max<Nanos>(age, std::chrono::milliseconds(1)).count());
  const double part = std::min(1.0, aged / static_cast<double>(config.window.count()));
  const double aggression = config.aggression > 0 ? config.aggression : 1;  // also for NaN
  return std::max(config.minWeightPercent / 100, std::pow(part, 1 / aggression));
}

void SlowStartAges::observe(const LoadAssignment& assignment, Nanos now) {
  std::map<SocketAddress, Nanos> present;
  for (const LocalityEndpoints& locality : assignment.localities) {
    for (const Endpoint& endpoint : locality.endpoints) {
      const auto known = since_.find(endpoint.address);
      if (known != since_.end()) {
        present.insert(*known);
      } else if (coarseHealth(endpoint.health, false) == HostHealth::kHealthy) {
        present.emplace(endpoint.address, now);
      }
    }
  }
  since_ = std::move(present);
}

double SlowStartAges::factor(const SlowStart& config, const SocketAddress& address,
                             Nanos now) const {
  const auto since = since_.find(address);
  return since == since_.end() ? 1 : slowStartFactor(config, now - since->second);
}

std::optional<Nanos> SlowStartAges::nextChange(const SlowStart& config, Nanos now) const {
  const Nanos step = std::clamp<Nanos>(config.window / 128, std::chrono::milliseconds(100),
                                       std::chrono::seconds(5));
  std::optional<Nanos> next;
  for (const auto& [address, since] : since_) {
    const Nanos end = since + config.window;
    if (end <= now) continue;
    next = std::min(next.value_or(end), std::min(now + step, end));
  }
  return next;
}

}  // namespace sockmesh
