// SPDX-License-Identifier: Apache-2.0
// What connect() should do for every VIP, computed from istiod's input and not from its output:
// Services, EndpointSlices, ServiceEntries, VirtualServices and DestinationRules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/cluster.h"
#include "model/vip.h"
#include "support/istiod_inputs.h"

namespace sockmesh {

struct ExpectedEndpoint {
  SocketAddress address;
  std::uint32_t weight = 1;
  bool healthy = true;
  Locality locality;
  std::uint32_t priority = 0;
  std::uint32_t localityWeight = 0;

  auto operator<=>(const ExpectedEndpoint&) const = default;
};

// For GoogleTest, in a comparison that failed.
void PrintTo(const ExpectedEndpoint& one, std::ostream* out);

// Endpoints that are the addresses of a name.
struct ExpectedTarget {
  std::string name;
  std::uint16_t port = 0;
  std::uint32_t weight = 1;
  auto operator<=>(const ExpectedTarget&) const = default;
};

// One leg of a VIP's split. Endpoints are by address. There are none if the cluster is left alone,
// or if it has targets.
struct ExpectedCluster {
  std::string name;
  std::uint32_t weight = 1;
  LbPolicy policy = LbPolicy::kLeastRequest;
  LocalityMode localityMode = LocalityMode::kFlat;
  LeftAloneReason leaveAlone = LeftAloneReason::kNone;
  std::vector<ExpectedEndpoint> endpoints;
  std::vector<ExpectedTarget> targets;  // sorted
  double panicThresholdPercent = 0;
  std::uint32_t maxConnections = UINT32_MAX;
  Nanos connectTimeout = std::chrono::seconds(10);
  std::optional<std::uint32_t> consecutive5xx;  // with outlier detection
};

struct ExpectedVip {
  std::vector<ExpectedCluster> clusters;
  bool hashSourceIp = false;
  std::string leftAlone;  // why there is no VIP at all: clusters are empty then
};

using ExpectedVips = std::map<Vip, ExpectedVip>;

// The VIPs that `inputs.client` gets of the services it can see.
ExpectedVips expectVips(const IstiodInputs& inputs);

}  // namespace sockmesh
