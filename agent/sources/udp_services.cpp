// SPDX-License-Identifier: Apache-2.0
#include "sources/udp_services.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sockmesh {
namespace {

std::string clusterNameOf(const UdpService& service) {
  return service.cluster + "/udp" + (service.port ? ":" + std::to_string(*service.port) : "");
}

// Another number for each port, the same for each run.
std::uint64_t hashOf(std::uint64_t content, const UdpService& service) {
  return (content ^ (0x10000U + service.port.value_or(0))) * 1099511628211ULL;
}

std::shared_ptr<const Listener> listenerOf(const UdpService& service) {
  auto listener = std::make_shared<Listener>();
  listener->name = "udp_services/" + service.vip.toString();
  listener->addresses = {service.vip};
  listener->protocol = Protocol::kUdp;
  listener->route.clusters.push_back({clusterNameOf(service), 1, {}});
  return listener;
}

std::shared_ptr<const LoadAssignment> assignmentOf(const LoadAssignment& from,
                                                   const UdpService& service) {
  auto made = std::make_shared<LoadAssignment>(from);
  made->clusterName = clusterNameOf(service);
  made->contentHash = hashOf(from.contentHash, service);
  made->unreachable.clear();  // listed with the cluster
  if (!service.port) return made;
  // Endpoints that differ in the port alone are one endpoint now.
  std::set<SocketAddress> seen;
  for (LocalityEndpoints& locality : made->localities) {
    for (Endpoint& endpoint : locality.endpoints) {
      endpoint.address.port = *service.port;
      if (endpoint.otherAddress) endpoint.otherAddress->port = *service.port;
    }
    std::erase_if(locality.endpoints,
                  [&](const Endpoint& endpoint) { return !seen.insert(endpoint.address).second; });
  }
  return made;
}

// Without what belongs to TCP connections.
std::shared_ptr<const Cluster> clusterOf(const Cluster& from, const UdpService& service) {
  auto made = std::make_shared<Cluster>(from);
  made->name = clusterNameOf(service);
  if (!made->edsName.empty()) made->edsName = made->name;
  if (made->inlineAssignment)
    made->inlineAssignment = assignmentOf(*from.inlineAssignment, service);
  if (made->leaveAlone == LeftAloneReason::kTls) made->leaveAlone = LeftAloneReason::kNone;
  made->automaticTls = false;
  made->notHonoured.clear();  // listed with the cluster
  made->lb.notHonoured.clear();
  made->contentHash = hashOf(from.contentHash, service);
  return made;
}

}  // namespace

UdpServices::UdpServices(const std::vector<UdpService>& services) {
  for (const UdpService& service : services) {
    Kept kept;
    kept.service = service;
    kept.listener = listenerOf(service);
    kept.clusterName = clusterNameOf(service);
    services_.push_back(std::move(kept));
  }
}

// Brings what is made of the cluster up to date.
void UdpServices::update(Kept& kept, const Snapshot& received, Changes& changed) {
  const auto found = received.clusters.find(kept.service.cluster);
  const auto from = found == received.clusters.end() ? nullptr : found->second;
  if (from != kept.from) {
    kept.from = from;
    kept.cluster = from ? clusterOf(*from, kept.service) : nullptr;
    changed.clusters.insert(kept.clusterName);
  }
  const bool eds = from && !from->edsName.empty();
  const auto assignment = eds ? received.assignmentOf(*from) : nullptr;
  if (assignment == kept.assignmentFrom) return;
  kept.assignmentFrom = assignment;
  kept.assignment = assignment ? assignmentOf(*assignment, kept.service) : nullptr;
  changed.assignments.insert(kept.clusterName);
}

void UdpServices::add(Kept& kept, bool unknown, Snapshot& out) {
  const bool listed = kept.cluster || unknown || !out.clustersListed;
  if (listed != std::exchange(kept.listed, listed)) {
    out.changed.listeners.insert(kept.listener->name);
  }
  if (!listed) {
    out.leftAlone[kept.listener->name] = std::make_shared<const LeftAlone>(
        LeftAlone{kept.listener->name, "the control plane has no cluster " + kept.service.cluster});
    return;
  }
  out.listeners[kept.listener->name] = kept.listener;
  if (kept.cluster) out.clusters[kept.clusterName] = kept.cluster;
  if (kept.assignment) out.assignments[kept.clusterName] = kept.assignment;
}

std::shared_ptr<const Snapshot> UdpServices::addTo(std::shared_ptr<const Snapshot> received,
                                                   Unknowns& unknowns) {
  if (services_.empty()) return received;
  auto out = std::make_shared<Snapshot>(*received);
  for (Kept& kept : services_) {
    update(kept, *received, out->changed);
    const bool unknown = unknowns.clusters.contains(kept.service.cluster);
    if (unknown) unknowns.clusters.insert(kept.clusterName);
    add(kept, unknown, *out);
  }
  return out;
}

}  // namespace sockmesh
