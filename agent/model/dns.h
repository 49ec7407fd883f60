// SPDX-License-Identifier: Apache-2.0
// Clusters whose endpoints are host names (STRICT_DNS, LOGICAL_DNS): which names are asked for, how
// and how often, and what endpoints their addresses become. Immutable values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/address.h"
#include "model/assignment.h"

namespace sockmesh {

// dns_lookup_family.
enum class DnsFamily : std::uint8_t {
  kAuto,  // IPv6; IPv4 where the name has no IPv6 address
  kV4Only,
  kV6Only,
  kV4Preferred,  // IPv4; IPv6 where the name has no IPv4 address
  kAll,          // both, IPv4 first
};

// How a question is put.
struct DnsResolverSettings {
  std::vector<SocketAddress> servers;  // empty: the agent's own
  bool serversAreFallback = false;     // use `servers` only where the agent has none
  bool tcp = false;                    // ask over TCP
  bool search = true;                  // try the search domains of resolv.conf
  bool rotate = false;                 // begin with another server each time
  std::uint32_t timeoutSeconds = 5;    // of the first try
  std::uint32_t tries = 4;             // of each server

  auto operator<=>(const DnsResolverSettings&) const = default;
};

struct DnsQuestion {
  std::string name;
  DnsFamily family = DnsFamily::kAuto;
  DnsResolverSettings settings;

  auto operator<=>(const DnsQuestion&) const = default;
};

// dns_failure_refresh_rate: delays that double from `base` to `max`, with full jitter.
struct DnsFailureRate {
  Nanos base{0};
  Nanos max{0};
  bool operator==(const DnsFailureRate&) const = default;
};

// When a question is put again. Times run from the end of the last one.
struct DnsRefresh {
  Nanos rate = std::chrono::seconds(5);
  Nanos jitter{0};          // adds [0, jitter)
  bool respectTtl = false;  // the answer's TTL takes the place of `rate`, if it is not 0
  // Whose TTL: the first record's (logical) or the smallest.
  bool ttlOfFirst = false;
  // A name without addresses counts as a failure (logical).
  bool emptyIsFailure = false;
  std::optional<DnsFailureRate> failureRate;  // nothing: `rate` after failures, too
};

// An endpoint that is named. `pattern` has everything except the address.
struct DnsTarget {
  std::string name;                  // the host name, or the IP address as text
  std::optional<IpAddress> literal;  // the name is an address: there is nothing to ask
  std::uint16_t port = 0;
  std::size_t locality = 0;  // index into DnsDiscovery::frame
  Endpoint pattern;
};

struct DnsDiscovery {
  std::string cluster;
  // One endpoint, whose address is the first one of the answer. Otherwise each address is one.
  bool logical = false;
  DnsFamily family = DnsFamily::kAuto;
  DnsResolverSettings settings;
  DnsRefresh refresh;
  bool waitForFirst = true;  // wait_for_warm_on_init
  LoadAssignment frame;      // localities without endpoints
  std::vector<DnsTarget> targets;

  DnsQuestion questionOf(const DnsTarget& target) const { return {target.name, family, settings}; }
};

}  // namespace sockmesh
