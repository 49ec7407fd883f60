// SPDX-License-Identifier: Apache-2.0
#include "support/size_mesh.h"

#include <algorithm>

#include "lb/compiler.h"
#include "maps/kernel_image.h"

namespace sockmesh::test {
namespace {

// 10.0.0.0/8 is for endpoints and 11.0.0.0/8 for VIPs.
SocketAddress address(int net, int number, std::uint16_t port) {
  return {
      IpAddress::v4({static_cast<std::uint8_t>(net), static_cast<std::uint8_t>(number >> 16),
                     static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}),
      port};
}

SocketAddress vipOf(int service) {
  return address(11, service, 80);
}
SocketAddress endpointOf(int service, int endpoint) {
  return address(10, service * 16 + endpoint, 8080);
}

// As long as istiod's.
std::string clusterOf(int service) {
  return "outbound|80||service-" + std::to_string(service) + ".namespace.svc.cluster.local";
}
std::string listenerOf(int service) {
  return vipOf(service).ip.toString() + "_80_" + std::to_string(service);
}

using Addresses = std::vector<SocketAddress>;

Addresses sorted(Addresses all) {
  std::ranges::sort(all);
  return all;
}

Addresses expected(const SizeMesh& mesh, int service) {
  Addresses all;
  for (int i = 0; i < mesh.endpoints; ++i) all.push_back(endpointOf(service, i));
  return sorted(all);
}

// "" where the kernel's service is right.
std::string wrongWith(const SizeMesh& mesh, int number, const KernelImage& image) {
  const auto found = image.services.find(VipKey{vipOf(number), Protocol::kTcp});
  if (found == image.services.end()) return "is missing";
  const LbService& service = *found->second.service;
  const auto name = image.serviceNames.find(found->second.id);
  if (name == image.serviceNames.end() || name->second != listenerOf(number)) return "has no name";
  if (service.groups.size() != 1) return "has more groups than one";
  if (service.groups[0]->cluster != clusterOf(number)) return "leads to another cluster";
  if (sorted(service.groups[0]->hosts) != expected(mesh, number)) return "has other endpoints";
  return "";
}

}  // namespace

Snapshot SizeMesh::snapshot() const {
  Snapshot snapshot;
  snapshot.complete = snapshot.clustersListed = true;
  for (int i = 0; i < services; ++i) {
    auto cluster = std::make_shared<Cluster>();
    cluster->name = cluster->edsName = clusterOf(i);
    auto assignment = std::make_shared<LoadAssignment>();
    LocalityEndpoints& locality = assignment->localities.emplace_back();
    for (int k = 0; k < endpoints; ++k)
      locality.endpoints.emplace_back().address = endpointOf(i, k);
    auto listener = std::make_shared<Listener>();
    listener->name = listenerOf(i);
    listener->addresses.push_back(vipOf(i));
    listener->route.clusters.push_back({cluster->name, 1, {}});
    snapshot.clusters[cluster->name] = cluster;
    snapshot.assignments[cluster->name] = assignment;
    snapshot.listeners[listener->name] = listener;
  }
  return snapshot;
}

std::shared_ptr<const LbTables> SizeMesh::tables() const {
  Compiler compiler(CompilerOptions{});
  return compiler.compile(snapshot(), HealthOverlay(), std::chrono::seconds(1));
}

std::vector<std::string> SizeMesh::differences(const KernelMaps& maps) const {
  const auto image = KernelImage::read(maps);
  if (!image) return {image.error().message()};
  std::vector<std::string> all = image->broken;
  for (int i = 0; i < services; ++i) {
    const std::string wrong = wrongWith(*this, i, *image);
    if (!wrong.empty()) all.push_back(vipOf(i).toString() + " " + wrong);
  }
  const auto count = [&all](const char* what, std::size_t is, std::size_t wanted) {
    if (is == wanted) return;
    all.push_back(std::to_string(is) + " " + what + " instead of " + std::to_string(wanted));
  };
  const auto wanted = static_cast<std::size_t>(services);
  count("VIPs", image->services.size(), wanted);
  count("clusters", image->clusterNames.size(), wanted);
  count("endpoints", image->endpoints.size(), wanted * static_cast<std::size_t>(endpoints));
  return all;
}

}  // namespace sockmesh::test
