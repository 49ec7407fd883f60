// SPDX-License-Identifier: Apache-2.0
// The price of the hooks: connect() of a fresh non-blocking socket to a VIP under every policy, to
// an address that is no service, and with no hook at all; and close(). usage: connect_bench [ROUNDS
// [OTHER_SERVICES]] Paired: in every round, sockets of all kinds are connected in turn, in an order
// that is drawn anew for each turn, because the first kind finds the caches cold. The result is the
// median over rounds of the difference between medians. Its spread shows the machine's noise.
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "datapath/datapath.h"
#include "datapath/kernel_store.h"
#include "datapath/map_writer.h"
#include "lb/compiler.h"
#include "support/net.h"
#include "support/sandbox.h"

namespace sockmesh::test {
namespace {

constexpr int kSockets = 200;           // of a kind, a round
constexpr std::size_t kRandomKind = 2;  // in makeKinds()

std::int64_t nowNanos() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000LL + ts.tv_nsec;
}

double quantile(std::vector<double> values, double q) {
  const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

struct Kind {
  const char* name;
  bool hooked;
  SocketAddress target;
  std::vector<double> connectRounds, closeRounds;  // medians, ns
};

void die(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  std::exit(1);
}

// A socket belongs to the cgroup that it was made in.
UniqueFd makeSocket(const Kind& kind, const Sandbox& sandbox) {
  if (auto moved = kind.hooked ? sandbox.enter() : sandbox.leave(); !moved) die(moved.error());
  UniqueFd made = tcpSocket(false, true);
  const linger reset{1, 0};  // no TIME_WAIT to eat up the ports
  setsockopt(made.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  return made;
}

// One round: sockets of all kinds are made, then connected and accepted, then closed. Each turn has
// an order of its own, so that no kind finds warmer code or memory.
void runRound(std::vector<Kind>& kinds, const Sandbox& sandbox, const UniqueFd& listener) {
  std::vector<std::vector<UniqueFd>> sockets(kinds.size());
  std::vector<std::vector<double>> connects(kinds.size()), closes(kinds.size());
  std::vector<UniqueFd> accepted;
  static std::mt19937 random;  // the same orders each time
  std::vector<std::size_t> order(kinds.size());
  std::iota(order.begin(), order.end(), 0);
  const auto each = [&](auto&& act) {
    for (std::size_t i = 0; i < kSockets; ++i) {
      std::shuffle(order.begin(), order.end(), random);
      for (const std::size_t k : order) act(k, i);
    }
  };
  each([&](std::size_t k, std::size_t) { sockets[k].push_back(makeSocket(kinds[k], sandbox)); });
  each([&](std::size_t k, std::size_t i) {
    const auto from = nowNanos();
    connectErrno(sockets[k][i].get(), kinds[k].target);
    connects[k].push_back(static_cast<double>(nowNanos() - from));
    accepted.push_back(acceptOn(listener));
  });
  each([&](std::size_t k, std::size_t i) {
    const auto from = nowNanos();
    sockets[k][i].reset();
    closes[k].push_back(static_cast<double>(nowNanos() - from));
  });
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    kinds[k].connectRounds.push_back(quantile(connects[k], 0.5));
    kinds[k].closeRounds.push_back(quantile(closes[k], 0.5));
  }
}

// Medians of the rounds' differences.
double over(const Kind& kind, const Kind& base, std::vector<double> Kind::*rounds, double q) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < (base.*rounds).size(); ++i) {
    differences.push_back((kind.*rounds)[i] - (base.*rounds)[i]);
  }
  return quantile(std::move(differences), q);
}

void print(const char* what, const std::vector<Kind>& kinds, std::vector<double> Kind::*rounds) {
  std::printf("\n%-34s %10s %12s %22s %12s\n", what, "median", "over no hook",
              "middle half of rounds", "over RANDOM");
  for (const Kind& kind : kinds) {
    std::printf("  %-32s %7.0f ns %9.0f ns %10.0f .. %.0f ns %12.0f ns\n", kind.name,
                quantile(kind.*rounds, 0.5), over(kind, kinds[0], rounds, 0.5),
                over(kind, kinds[0], rounds, 0.25), over(kind, kinds[0], rounds, 0.75),
                over(kind, kinds[kRandomKind], rounds, 0.5));
  }
}

constexpr int kHosts = 8;

// One VIP over kHosts endpoints of `port`. One listener serves all of them.
void addService(Snapshot& snapshot, const std::string& vip, LbPolicy policy, std::uint16_t port,
                bool weighted = false, std::uint32_t balanceFactor = 0) {
  const std::string name = "cluster " + vip;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->edsName = name;
  cluster->lb.policy = policy;
  cluster->lb.hashBalanceFactor = balanceFactor;
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->clusterName = name;
  assignment->localities.emplace_back();
  for (int i = 0; i < kHosts; ++i) {
    Endpoint endpoint;
    endpoint.address = at("127.0.0." + std::to_string(2 + i) + ":" + std::to_string(port));
    endpoint.weight = weighted ? static_cast<std::uint32_t>(1 + i) : 1;
    assignment->localities[0].endpoints.push_back(endpoint);
  }
  auto listener = std::make_shared<Listener>();
  listener->name = vip;
  listener->addresses = {at(vip)};
  listener->route.clusters = {WeightedCluster{name, 1, {}}};
  listener->route.hashSourceIp = true;
  snapshot.clusters[name] = cluster;
  snapshot.assignments[name] = assignment;
  snapshot.listeners[vip] = listener;
}

std::vector<Kind> makeKinds(const SocketAddress& direct) {
  std::vector<Kind> kinds;
  const auto add = [&](const char* name, bool hooked, const SocketAddress& target) {
    kinds.push_back({name, hooked, target, {}, {}});
  };
  add("no hook", false, direct);
  add("no service", true, direct);
  add("VIP, RANDOM", true, at("10.96.0.1:80"));
  add("VIP, ROUND_ROBIN", true, at("10.96.0.2:80"));
  add("VIP, LEAST_REQUEST", true, at("10.96.0.3:80"));
  add("VIP, LEAST_REQUEST with weights", true, at("10.96.0.4:80"));
  add("VIP, MAGLEV by source", true, at("10.96.0.5:80"));
  add("VIP, RING_HASH by source", true, at("10.96.0.6:80"));
  add("VIP, RANDOM with affinity", true, at("10.96.0.7:80"));
  // One client, so that most of its connections are passed on.
  add("VIP, MAGLEV, balance factor 150", true, at("10.96.0.8:80"));
  return kinds;
}

// The VIPs of makeKinds(), and other VIPs without connections.
Snapshot makeServices(std::uint16_t port, int others) {
  Snapshot snapshot;
  snapshot.complete = true;
  const auto add = [&](int n, LbPolicy policy, bool weighted = false, std::uint32_t factor = 0) {
    addService(snapshot, "10.96.0." + std::to_string(n) + ":80", policy, port, weighted, factor);
  };
  add(1, LbPolicy::kRandom);
  add(2, LbPolicy::kRoundRobin);
  add(3, LbPolicy::kLeastRequest);
  add(4, LbPolicy::kLeastRequest, true);
  add(5, LbPolicy::kMaglev);
  add(6, LbPolicy::kRingHash);
  add(7, LbPolicy::kRandom);
  add(8, LbPolicy::kMaglev, false, 150);
  for (int i = 0; i < others; ++i) {
    addService(snapshot,
               "10." + std::to_string(100 + i / 62500) + "." + std::to_string(i / 250 % 250) + "." +
                   std::to_string(i % 250 + 1) + ":80",
               LbPolicy::kRandom, port);
  }
  return snapshot;
}

int run(int rounds, int others) {
  if (auto entered = enterNamespaces(); !entered) die(entered.error());
  auto sandbox = Sandbox::create();
  if (!sandbox) die(sandbox.error());
  DatapathOptions options;
  options.cgroupRoot = (*sandbox)->cgroup();
  options.bpffsRoot = (*sandbox)->bpffs();
  auto datapath = Datapath::open(options);
  if (!datapath) die(datapath.error());
  auto grace = BlockingGracePeriod::create();
  if (!grace) die(grace.error());
  KernelStore store((*datapath)->maps(), (*datapath)->ejections());
  CountingStore counted(store);
  IdRegistry ids;
  MapWriter writer(counted, ids, **grace, (*datapath)->maps().maxServices);

  SocketAddress any = at("0.0.0.0:0");
  auto listener = listenOn(any, 4096);
  if (!listener) die(listener.error());
  const Snapshot snapshot = makeServices(any.port, others);
  CompilerOptions rules;
  rules.affinity.byVip[at("10.96.0.7:80")] = 3600;
  const auto report =
      writer.apply(Compiler(std::move(rules)).compile(snapshot, HealthOverlay{}, Nanos(0)));
  if (!report.errors.empty()) die(Error(report.errors.front()));

  std::vector<Kind> kinds = makeKinds(at("127.0.0.2:" + std::to_string(any.port)));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof(one), &one);
  for (int i = 0; i < rounds + 2; ++i) {
    runRound(kinds, **sandbox, *listener);
    if (i >= 2) continue;  // warm up
    for (Kind& kind : kinds) {
      kind.connectRounds.clear();
      kind.closeRounds.clear();
    }
  }
  std::printf("%d rounds of %d sockets of each kind, one CPU, loopback, %zu services\n", rounds,
              kSockets, writer.services());
  print("connect()", kinds, &Kind::connectRounds);
  print("close()", kinds, &Kind::closeRounds);
  return 0;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::run(argc > 1 ? std::atoi(argv[1]) : 100,
                             argc > 2 ? std::atoi(argv[2]) : 1000);
}
