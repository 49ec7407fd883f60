// SPDX-License-Identifier: Apache-2.0
#include "unit/lb/build.h"

#include <utility>

namespace sockmesh::test {

SocketAddress host(int number) {
  const auto low = static_cast<std::uint8_t>(number % 256);
  const auto high = static_cast<std::uint8_t>(number / 256);
  return {IpAddress::v4({10, 0, high, low}), 80};
}

Endpoint endpoint(int number, std::uint32_t weight, EdsHealth health) {
  Endpoint made;
  made.address = host(number);
  made.weight = weight;
  made.health = health;
  return made;
}

LocalityEndpoints locality(const std::string& zone, std::uint32_t weight, int first, int count,
                           int healthy, std::uint32_t priority) {
  LocalityEndpoints made;
  made.locality = Locality{"r", zone, ""};
  made.priority = priority;
  made.weight = weight;
  for (int i = 0; i < count; ++i) {
    made.endpoints.push_back(
        endpoint(first + i, 1, i < healthy ? EdsHealth::kHealthy : EdsHealth::kUnhealthy));
  }
  return made;
}

SnapshotBuilder& SnapshotBuilder::put(const Cluster& cluster, const LoadAssignment& assignment) {
  auto copy = std::make_shared<LoadAssignment>(assignment);
  copy->clusterName = cluster.edsName;
  snapshot_.assignments[cluster.edsName] = std::move(copy);
  return put(cluster);
}

SnapshotBuilder& SnapshotBuilder::put(const Cluster& cluster) {
  snapshot_.complete = true;
  snapshot_.clusters[cluster.name] = std::make_shared<Cluster>(cluster);
  return *this;
}

SnapshotBuilder& SnapshotBuilder::listen(const std::string& name,
                                         const std::vector<std::string>& vips,
                                         std::vector<WeightedCluster> clusters, bool hashSourceIp) {
  auto listener = std::make_shared<Listener>();
  listener->name = name;
  for (const std::string& vip : vips) listener->addresses.push_back(Vip::parse(vip).value());
  listener->route.clusters = std::move(clusters);
  listener->route.hashSourceIp = hashSourceIp;
  snapshot_.complete = true;
  snapshot_.listeners[name] = std::move(listener);
  return *this;
}

Cluster cluster(const std::string& name, LbPolicy policy) {
  Cluster made;
  made.name = name;
  made.edsName = name;
  made.lb.policy = policy;
  return made;
}

LoadAssignment assignment(std::vector<LocalityEndpoints> localities) {
  LoadAssignment made;
  made.localities = std::move(localities);
  return made;
}

std::shared_ptr<const LbTables> compileLegs(const std::vector<Leg>& legs, bool hashSourceIp,
                                            const HealthOverlay& overlay) {
  SnapshotBuilder builder;
  std::vector<WeightedCluster> route;
  for (const Leg& leg : legs) {
    builder.put(leg.cluster, leg.assignment);
    route.push_back({leg.cluster.name, leg.weight, leg.metadata});
  }
  builder.listen("l", {kVip}, route, hashSourceIp);
  return Compiler({}).compile(builder.snapshot(), overlay, std::chrono::seconds(1));
}

std::shared_ptr<const LbService> serviceOf(const std::vector<Leg>& legs, bool hashSourceIp,
                                           const HealthOverlay& overlay) {
  return compileLegs(legs, hashSourceIp, overlay)->services.begin()->second;
}

std::shared_ptr<const LbService> serviceOf(const Cluster& cluster, const LoadAssignment& assignment,
                                           bool hashSourceIp) {
  return serviceOf({{cluster, assignment, 1, {}}}, hashSourceIp);
}

const LbService& at(const LbTables& tables, const std::string& vip) {
  return *tables.services.at({at(vip), Protocol::kTcp});
}

double shareOfHost(const ServiceShares& shares, int number, const std::string& cluster) {
  const auto found = shares.endpoints.find({cluster, host(number)});
  return found == shares.endpoints.end() ? 0 : found->second;
}

}  // namespace sockmesh::test
