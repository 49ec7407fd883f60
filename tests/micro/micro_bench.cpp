// SPDX-License-Identifier: Apache-2.0
// What single steps of the agent cost: a change through the compiler, the tables of the hashing
// policies, the decoding of what a real istiod sent, the filter before the hash lookup. Run it from
// the root of the repository.
#include <benchmark/benchmark.h>

#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "lb/compiler.h"
#include "lb/policy/maglev.h"
#include "lb/policy/ring_hash.h"
#include "maps/frontend_filter.h"
#include "store/received.h"
#include "store/resource_limits.h"
#include "store/update.h"

namespace sockmesh {
namespace {

using envoy::service::discovery::v3::DiscoveryResponse;

SocketAddress address(std::uint8_t first, std::size_t number, std::uint16_t port) {
  return {
      IpAddress::v4({first, static_cast<std::uint8_t>(number >> 16U),
                     static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}),
      port};
}

std::string nameOf(std::size_t service) {
  return "outbound|80||service-" + std::to_string(service) + ".default.svc.cluster.local";
}

// `version` decides the first endpoint.
std::shared_ptr<const LoadAssignment> endpointsOf(std::size_t service, std::size_t count,
                                                  std::size_t version = 0) {
  auto made = std::make_shared<LoadAssignment>();
  LocalityEndpoints& group = made->localities.emplace_back();
  group.locality = Locality{"region", "zone", ""};
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t host = i == 0 ? count + version % 2 : i;
    group.endpoints.emplace_back().address = address(10, service * (count + 2) + host, 8080);
  }
  return made;
}

Snapshot mesh(std::size_t services, std::size_t endpoints) {
  Snapshot snapshot;
  snapshot.complete = true;
  for (std::size_t i = 0; i < services; ++i) {
    auto cluster = std::make_shared<Cluster>();
    cluster->name = cluster->edsName = nameOf(i);
    cluster->outlierDetection.emplace();
    snapshot.clusters[cluster->name] = cluster;
    snapshot.assignments[cluster->name] = endpointsOf(i, endpoints);
    auto listener = std::make_shared<Listener>();
    listener->name = "listener-" + std::to_string(i);
    listener->addresses.push_back(address(172, i, 80));
    listener->route.clusters.push_back({cluster->name, 1, {}});
    snapshot.listeners[listener->name] = listener;
  }
  return snapshot;
}

// One endpoint of a mesh of `range(0)` services with `range(1)` endpoints each is another one.
void compileOneChange(benchmark::State& state) {
  const auto endpoints = static_cast<std::size_t>(state.range(1));
  Snapshot snapshot = mesh(static_cast<std::size_t>(state.range(0)), endpoints);
  Compiler compiler({});
  const Nanos now = std::chrono::seconds(1);
  (void)compiler.compile(snapshot, {}, now);
  Changes changed;
  changed.assignments = {nameOf(0)};
  std::size_t version = 0;
  for (auto _ : state) {
    state.PauseTiming();
    snapshot.assignments[nameOf(0)] = endpointsOf(0, endpoints, ++version);
    state.ResumeTiming();
    benchmark::DoNotOptimize(compiler.compile(snapshot, {}, changed, now));
  }
}
BENCHMARK(compileOneChange)
    ->Args({1'000, 10})
    ->Args({10'000, 10})
    ->Args({1, 10'000})
    ->Unit(benchmark::kMicrosecond);

std::vector<HashHost> hashHostsOf(std::int64_t count) {
  std::vector<HashHost> hosts;
  for (std::int64_t i = 0; i < count; ++i) {
    hosts.push_back({address(10, static_cast<std::size_t>(i), 8080).toString(),
                     1.0 / static_cast<double>(count)});
  }
  return hosts;
}

// `range(0)` hosts.
void maglev(benchmark::State& state) {
  const auto hosts = hashHostsOf(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(maglevTable(hosts, 65537));
}
BENCHMARK(maglev)->Arg(10)->Arg(1'000)->Unit(benchmark::kMicrosecond);

void ringHash(benchmark::State& state) {
  const auto hosts = hashHostsOf(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(encodeRing(ring(hosts, 1024, 8'388'608, HashFunction::kXxHash)));
  }
}
BENCHMARK(ringHash)->Arg(10)->Arg(1'000)->Unit(benchmark::kMicrosecond);

// The bytes on the wire to the model's values. The time of one resource is the inverse of
// items_per_second.
void decode(benchmark::State& state, const char* file) {
  const std::string path = std::string("tests/data/istiod/") + file;
  std::ifstream stream(path, std::ios::binary);
  DiscoveryResponse response;
  if (!stream.good() || !response.ParseFromIstream(&stream)) {
    state.SkipWithError((path + " cannot be read").c_str());
    return;
  }
  const std::string bytes = response.SerializeAsString();
  const ResourceType& type = *findResourceType(response.type_url());
  const int count = response.resources_size();
  for (auto _ : state) {
    DiscoveryResponse received;
    received.ParseFromString(bytes);
    const Update update = updateOf(std::move(received));
    const ReceivedUpdate all = parseResources(update, type, ResourceLimits().nesting);
    for (const Received& one : all.resources) benchmark::DoNotOptimize(type.decode(*one.proto));
  }
  state.SetItemsProcessed(state.iterations() * count);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK_CAPTURE(decode, CDS, "01-sotw-CDS.pb")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decode, EDS, "02-sotw-EDS.pb")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decode, LDS, "03-sotw-LDS.pb")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decode, RDS, "04-sotw-RDS.pb")->Unit(benchmark::kMicrosecond);

// Where the filter has a VIP's bit.
void filter(benchmark::State& state) {
  VipKey key{address(172, 0, 80), Protocol::kTcp};
  for (auto _ : state) {
    ++key.vip.port;
    benchmark::DoNotOptimize(filterPlace(key));
  }
}
BENCHMARK(filter);

}  // namespace
}  // namespace sockmesh

BENCHMARK_MAIN();
