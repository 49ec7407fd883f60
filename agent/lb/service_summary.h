// SPDX-License-Identifier: Apache-2.0
// A summary of a service's tables: its state, and how connections are split.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lb/tables.h"

namespace sockmesh {

enum class ServiceState { kBalanced, kRefused, kLeftAlone, kMixed };

struct ClusterSplit {
  std::string cluster;
  double percent = 0;
};

// Kinds of sockets for which a part of the connections finds no endpoint of their family.
struct Unreached {
  std::string sockets;  // "IPv4", "IPv6-only"
  double percent = 0;   // of their connections, > 0
  // "no endpoint for IPv4 sockets", "no endpoint for 25% of connections of IPv4 sockets"
  std::string text() const;
};

struct ServiceSummary {
  ServiceState state = ServiceState::kBalanced;
  // The reasons of the groups that refuse or leave alone and that connections reach. Ascending,
  // unique.
  std::vector<sm_reason> reasons;
  std::vector<std::string> policies;   // of groups that balance, unique, by group order
  std::vector<ClusterSplit> clusters;  // by descending share, then by name
  std::vector<Unreached> unreached;
  std::uint32_t hosts = 0;  // distinct addresses that connections can reach
};

std::string serviceStateName(ServiceState state);  // "LeftAlone"

ServiceSummary summarize(const LbService& service);

}  // namespace sockmesh
