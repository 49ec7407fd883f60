// SPDX-License-Identifier: Apache-2.0
// What the datapath counted, in words: filled by inspect/live_state, turned into metrics here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sockmesh {

// Names are string literals.
using NamedCounts = std::vector<std::pair<std::string_view, std::uint64_t>>;

// A log2 histogram as the kernel keeps it: bucket i counts values up to firstBoundSeconds * 2^i,
// and the last bucket counts larger values. Buckets of connections are 32-bit words that wrap after
// 4,294,967,296 values.
struct LogHistogram {
  double firstBoundSeconds = 0;
  std::vector<std::uint64_t> buckets;
};

struct ConnectionStats {
  std::uint64_t selected = 0;
  std::uint64_t established = 0;
  NamedCounts failed;  // by reason
  NamedCounts closed;  // by reason
  std::uint64_t sentBytes = 0;
  std::uint64_t receivedBytes = 0;
  std::uint64_t retransmits = 0;  // segments
  std::uint64_t disputed = 0;     // of `failed`: the client's own trouble, by all that is known
  LogHistogram connectDuration;
  LogHistogram rtt;  // smoothed, at close
};

// What runs at the address, as the control plane says it.
struct EndpointWorkload {
  std::string name;
  std::string space;  // its namespace
  std::string node;
};

struct EndpointStats {
  std::uint32_t id = 0;  // told apart from a later endpoint of the same address
  std::string cluster;
  std::string address;  // "10.0.0.1:80"
  std::uint64_t active = 0;
  bool ejected = false;
  ConnectionStats connections;
  std::optional<EndpointWorkload> workload = std::nullopt;  // nothing: it is not known
};

// Why a cluster's connections go to no endpoint, as the tables say it now, in the words of metrics:
// "no_endpoints". The words live for ever.
struct VerdictReasons {
  std::vector<std::string_view> certain;  // some connection gets this verdict; each once
  std::string_view onceEjected;           // of the time when all its endpoints are ejected; or ""
};

// Connections that went to no endpoint.
struct Verdicts {
  std::uint64_t count = 0;
  VerdictReasons reasons;
};

struct ClusterStats {
  std::uint32_t id = 0;  // told apart from a later cluster of the same name
  std::string cluster;
  std::uint64_t endpoints = 0;  // used or not
  std::uint64_t active = 0;     // connections to them
  std::uint64_t ejectedEndpoints = 0;
  Verdicts refused;
  Verdicts leftAlone;
  std::uint64_t reselected = 0;
  std::uint64_t hashFallback = 0;
  NamedCounts ejectionsDetected;  // by detector, as Envoy names them
  NamedCounts ejectionsEnforced;
  std::uint64_t ejectionsOverflow = 0;
  std::uint64_t ejectionsOwn = 0;   // of one client, for itself alone
  std::uint64_t ejectedForOne = 0;  // such ejections that last now
};

struct MapUsage {
  std::string name;
  std::string kind;            // as `bpftool map` says it: "hash", "array", "array_of_maps", ...
  bool countable = false;      // `entries` is known
  std::uint64_t entries = 0;   // in use
  std::uint64_t capacity = 0;  // entries; 0: unbounded
  std::uint64_t pages = 0;     // of paged tables
  std::uint64_t memoryBytes = 0;
};

// Flows of UDP sockets that name a VIP with each send.
struct UdpFlowStats {
  std::uint64_t live = 0;
  std::uint64_t created = 0;
  std::uint64_t moved = 0;    // to another endpoint
  std::uint64_t ended = 0;    // with their socket
  std::uint64_t evicted = 0;  // forgotten, because the map was full; exact while no flow begins
};

// How long the programs took for an endpoint, of the selections that are timed.
struct SelectionTimes {
  LogHistogram duration;
  double sumSeconds = 0;
};

struct DatapathStats {
  std::vector<EndpointStats> endpoints;  // all, or those that count; by cluster, then address
  std::vector<ClusterStats> clusters;    // by name
  NamedCounts events;                    // the datapath's own counters
  std::vector<MapUsage> maps;
  UdpFlowStats udpFlows;
  SelectionTimes selectionTimes;
  // Network namespaces that are left alone and connected to a VIP lately, by reason.
  NamedCounts unservedNamespaces;
  NamedCounts services;  // by state
  // Services of which connections are refused or left alone, by reason. One with several reasons
  // counts for each. A reason without a service is not there.
  NamedCounts servicesByReason;
  // Reasons for which a cluster that has endpoints may begin to refuse, although nobody changes its
  // configuration. In the words of metrics, which live for ever.
  std::vector<std::string_view> suddenRefusals;
  std::uint64_t servicesNeedingLayer7 = 0;
  bool stale = false;  // services are left alone, because the control plane was not heard
};

}  // namespace sockmesh
