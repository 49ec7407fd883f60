// SPDX-License-Identifier: Apache-2.0
#include "bench/bench_mesh.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "support/address.h"

namespace sockmesh::test {
namespace {

template <typename T>
T orDie(Result<T> result) {
  if (!result) die(result.error());
  return std::move(result).value();
}

DatapathOptions optionsIn(const Sandbox& sandbox) {
  DatapathOptions options;
  options.cgroupRoot = sandbox.cgroup();
  options.bpffsRoot = sandbox.bpffs();
  return options;
}

}  // namespace

void die(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  std::exit(1);
}

std::vector<SocketAddress> hostsAt(const std::string& prefix, std::uint16_t port) {
  constexpr int kHosts = 8;
  std::vector<SocketAddress> hosts;
  for (int i = 0; i < kHosts; ++i) {
    hosts.push_back(at(prefix + std::to_string(2 + i) + ":" + std::to_string(port)));
  }
  return hosts;
}

void addService(Snapshot& snapshot, const std::string& vip, const std::vector<SocketAddress>& hosts,
                const BenchService& service) {
  const std::string name = "cluster " + vip;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->edsName = name;
  cluster->lb.policy = service.policy;
  cluster->lb.hashBalanceFactor = service.balanceFactor;
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->clusterName = name;
  assignment->localities.emplace_back();
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    Endpoint endpoint;
    endpoint.address = hosts[i];
    endpoint.weight = service.weighted ? static_cast<std::uint32_t>(1 + i) : 1;
    assignment->localities[0].endpoints.push_back(endpoint);
  }
  auto listener = std::make_shared<Listener>();
  listener->name = vip;
  auto address = Vip::parse(vip);
  if (!address) die(address.error());
  listener->addresses = {*address};
  listener->protocol = service.protocol;
  listener->route.clusters = {WeightedCluster{name, 1, {}}};
  listener->route.hashSourceIp = true;
  snapshot.clusters[name] = cluster;
  snapshot.assignments[name] = assignment;
  snapshot.listeners[vip] = listener;
}

BenchMesh::BenchMesh() {
  if (auto entered = enterNamespaces(); !entered) die(entered.error());
  sandbox_ = orDie(Sandbox::create());
  datapath_ = orDie(Datapath::open(optionsIn(*sandbox_)));
  grace_ = orDie(BlockingGracePeriod::create());
  store_ = std::make_unique<KernelStore>(datapath_->maps(), datapath_->ejections());
  counted_ = std::make_unique<CountingStore>(*store_);
  writer_ = std::make_unique<MapWriter>(*counted_, ids_, *grace_, datapath_->maps().maxServices);
}

void BenchMesh::apply(const Snapshot& snapshot, CompilerOptions rules) {
  const auto report =
      writer_->apply(Compiler(std::move(rules)).compile(snapshot, HealthOverlay{}, Nanos(0)));
  if (!report.errors.empty()) die(Error(report.errors.front()));
}

}  // namespace sockmesh::test
