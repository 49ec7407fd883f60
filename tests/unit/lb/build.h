// SPDX-License-Identifier: Apache-2.0
// Snapshots for tests, in few words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lb/compiler.h"
#include "lb/share.h"
#include "lb/tables.h"
#include "model/snapshot.h"
#include "support/address.h"

namespace sockmesh::test {

inline constexpr const char* kVip = "10.96.0.1:80";

// "10.0.0.N:80".
SocketAddress host(int number);

Endpoint endpoint(int number, std::uint32_t weight = 1, EdsHealth health = EdsHealth::kUnknown);

// Hosts numbered from `first`. The first `healthy` of them are healthy, the others are not.
LocalityEndpoints locality(const std::string& zone, std::uint32_t weight, int first, int count,
                           int healthy, std::uint32_t priority = 0);

struct Leg {
  Cluster cluster;
  LoadAssignment assignment;
  std::uint32_t weight = 1;
  MetadataStruct metadata;
};

// A snapshot under construction. Every put makes a new object, as a new response would.
class SnapshotBuilder {
 public:
  // An EDS cluster with these endpoints, by its name.
  SnapshotBuilder& put(const Cluster& cluster, const LoadAssignment& assignment);
  SnapshotBuilder& put(const Cluster& cluster);  // endpoints unknown
  SnapshotBuilder& listen(const std::string& name, const std::vector<std::string>& vips,
                          std::vector<WeightedCluster> clusters, bool hashSourceIp = false);
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  Snapshot snapshot_;
};

Cluster cluster(const std::string& name, LbPolicy policy = LbPolicy::kRoundRobin);
LoadAssignment assignment(std::vector<LocalityEndpoints> localities);

// One listener on kVip over these legs, compiled by a fresh compiler.
std::shared_ptr<const LbTables> compileLegs(const std::vector<Leg>& legs, bool hashSourceIp = false,
                                            const HealthOverlay& overlay = {});
std::shared_ptr<const LbService> serviceOf(const std::vector<Leg>& legs, bool hashSourceIp = false,
                                           const HealthOverlay& overlay = {});
std::shared_ptr<const LbService> serviceOf(const Cluster& cluster, const LoadAssignment& assignment,
                                           bool hashSourceIp = false);

const LbService& at(const LbTables& tables, const std::string& vip = kVip);

// The share of one host of the cluster "c".
double shareOfHost(const ServiceShares& shares, int number, const std::string& cluster = "c");

}  // namespace sockmesh::test
