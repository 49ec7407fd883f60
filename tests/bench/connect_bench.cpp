// SPDX-License-Identifier: Apache-2.0
// The price of the hooks: connect() of a fresh non-blocking socket to a VIP under every policy, to
// an address that is no service, and without a hook; the same where no packet leaves, which is the
// hook alone; a server's accept(); and close() on both sides. A row is of a sock_ops program that
// does nothing. Then connect() again on a node that has a service of an address range.
// usage: connect_bench [ROUNDS [OTHER_SERVICES [CPUS]]]
// With CPUS above 1 a process on each CPU does the same at the same time.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/bench_mesh.h"
#include "bench/paired.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

constexpr int kSockets = 200;           // of a kind, a round
constexpr std::size_t kRandomKind = 2;  // in makeKinds()

// What is timed.
enum Step : std::size_t { kConnect, kAccept, kClose, kServerClose, kSteps };

// kHooked: the hooks see the server's sockets, too. kNone: there is no route, so that connect()
// fails before a SYN.
enum class Server { kPlain, kHooked, kSix, kNone };

// kHooked: the hooks see the client's socket. kEmpty: a sock_ops program that does nothing sees it,
// which costs what the kernel takes for its calls of any such program.
enum class Client { kPlain, kHooked, kEmpty };

struct Kind {
  const char* name;
  Client client;
  Server server;
  std::size_t base;  // the kind that it is compared with
  SocketAddress target;
  // By step: of each round.
  std::array<std::vector<double>, kSteps> medians, tails;
};

struct Cgroups {
  const Sandbox& hooked;
  const Sandbox& empty;

  Status moveTo(Client client) const {
    if (client == Client::kPlain) return hooked.leave();
    return client == Client::kHooked ? hooked.enter() : empty.enter();
  }
};

// Until this process ends.
UniqueFd attachEmptySockOps(const Sandbox& sandbox) {
  const std::array<bpf_insn, 2> nothing = {{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "empty", "GPL", nothing.data(),
                                       nothing.size(), nullptr));
  const UniqueFd cgroup(open(sandbox.cgroup().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  UniqueFd link(bpf_link_create(program.get(), cgroup.get(), BPF_CGROUP_SOCK_OPS, nullptr));
  if (!link.valid()) die(Error::fromErrno("an empty sock_ops program", errno));
  return link;
}

// A socket belongs to the cgroup that it was made in.
UniqueFd makeSocket(const Kind& kind, const Cgroups& cgroups) {
  if (auto moved = cgroups.moveTo(kind.client); !moved) die(moved.error());
  UniqueFd made = tcpSocket(!kind.target.ip.isV4(), true);
  const linger reset{1, 0};  // no TIME_WAIT to eat up the ports
  setsockopt(made.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  return made;
}

struct Listeners {
  UniqueFd plain, hooked, six;

  const UniqueFd& of(Server server) const {
    if (server == Server::kSix) return six;
    return server == Server::kHooked ? hooked : plain;
  }
};

// One round: sockets of all kinds are made, then connected and accepted, then closed. Each turn has
// an order of its own, so that no kind finds warmer code or memory.
class Round {
 public:
  Round(std::vector<Kind>& kinds, const Cgroups& cgroups, const Listeners& listeners)
      : kinds_(kinds), listeners_(listeners), clients_(kinds.size()), servers_(kinds.size()) {
    for (auto& times : times_) times.resize(kinds.size());
    each(
        [&](std::size_t k, std::size_t) { clients_[k].push_back(makeSocket(kinds_[k], cgroups)); });
    each([&](std::size_t k, std::size_t i) { connectAndAccept(k, i); });
    each([&](std::size_t k, std::size_t i) { timed(kClose, k, [&] { clients_[k][i].reset(); }); });
    each([&](std::size_t k, std::size_t i) {
      if (kinds_[k].server != Server::kNone)
        timed(kServerClose, k, [&] { servers_[k][i].reset(); });
    });
  }

  void keep() {
    for (std::size_t step = 0; step < kSteps; ++step) {
      for (std::size_t k = 0; k < kinds_.size(); ++k) {
        const auto& times = times_[step][k];
        if (times.empty()) continue;
        kinds_[k].medians[step].push_back(quantile(times, 0.5));
        kinds_[k].tails[step].push_back(quantile(times, kTail));
      }
    }
  }

 private:
  template <typename Act>
  void each(const Act& act) {
    inTurns(kinds_.size(), kSockets, act);
  }

  template <typename Act>
  void timed(Step step, std::size_t k, const Act& act) {
    const auto from = nowNanos();
    act();
    times_[step][k].push_back(static_cast<double>(nowNanos() - from));
  }

  void connectAndAccept(std::size_t k, std::size_t i) {
    const Kind& kind = kinds_[k];
    timed(kConnect, k, [&] { connectErrno(clients_[k][i].get(), kind.target); });
    if (kind.server == Server::kNone) return;
    const UniqueFd& listener = listeners_.of(kind.server);
    timed(kAccept, k, [&] { servers_[k].push_back(acceptOn(listener)); });
  }

  std::vector<Kind>& kinds_;
  const Listeners& listeners_;
  std::vector<std::vector<UniqueFd>> clients_, servers_;
  std::array<std::vector<std::vector<double>>, kSteps> times_;
};

using Rounds = std::array<std::vector<double>, kSteps>;

void print(const char* what, const std::vector<Kind>& kinds, Rounds Kind::*rounds, Step step) {
  std::printf("\n%-34s %10s %12s %22s %12s\n", what, "", "over no hook", "middle half of rounds",
              "over RANDOM");
  for (const Kind& kind : kinds) {
    const auto& ours = (kind.*rounds)[step];
    const auto& base = (kinds[kind.base].*rounds)[step];
    if (ours.empty()) continue;
    std::printf("  %-32s %7.0f ns %9.0f ns %10.0f .. %.0f ns", kind.name, quantile(ours, 0.5),
                over(ours, base, 0.5), over(ours, base, 0.25), over(ours, base, 0.75));
    if (kind.base == 0) {
      std::printf(" %12.0f ns", over(ours, (kinds[kRandomKind].*rounds)[step], 0.5));
    }
    std::printf("\n");
  }
}

// Where the listeners are.
struct Servers {
  SocketAddress plain, hooked, six;
};

SocketAddress on2(const SocketAddress& server) {
  return at("127.0.0.2:" + std::to_string(server.port));
}

std::vector<Kind> makeKinds(const Servers& servers) {
  std::vector<Kind> kinds;
  const auto add = [&](const char* name, Client client, const SocketAddress& target) {
    kinds.push_back({name, client, Server::kPlain, 0, target, {}, {}});
  };
  add("no hook", Client::kPlain, on2(servers.plain));
  add("no service", Client::kHooked, on2(servers.plain));
  add("VIP, RANDOM", Client::kHooked, at("10.96.0.1:80"));
  add("VIP, ROUND_ROBIN", Client::kHooked, at("10.96.0.2:80"));
  add("VIP, LEAST_REQUEST", Client::kHooked, at("10.96.0.3:80"));
  add("VIP, LEAST_REQUEST with weights", Client::kHooked, at("10.96.0.4:80"));
  add("VIP, MAGLEV by source", Client::kHooked, at("10.96.0.5:80"));
  add("VIP, RING_HASH by source", Client::kHooked, at("10.96.0.6:80"));
  add("VIP, RANDOM with affinity", Client::kHooked, at("10.96.0.7:80"));
  // One client, so that most of its connections are passed on.
  add("VIP, MAGLEV, balance factor 150", Client::kHooked, at("10.96.0.8:80"));
  // The same connection as "no hook", to a server whose sockets the hooks see.
  kinds.push_back({"no hook, but at the server",
                   Client::kPlain,
                   Server::kHooked,
                   0,
                   on2(servers.hooked),
                   {},
                   {}});
  const auto addBeside = [&](const char* name, Client client, Server server, std::size_t base,
                             const SocketAddress& target) {
    kinds.push_back({name, client, server, base, target, {}, {}});
  };
  kinds.push_back(
      {"an empty sock_ops alone", Client::kEmpty, Server::kPlain, 0, on2(servers.plain), {}, {}});
  const std::size_t six = kinds.size();
  addBeside("IPv6, no hook", Client::kPlain, Server::kSix, six, servers.six);
  addBeside("IPv6, no service", Client::kHooked, Server::kSix, six, servers.six);
  addBeside("IPv6, VIP, RANDOM", Client::kHooked, Server::kSix, six, at("[fd00::1]:80"));
  const std::size_t none = kinds.size();
  addBeside("no route, no hook", Client::kPlain, Server::kNone, none, at("192.0.2.2:80"));
  addBeside("no route, no service", Client::kHooked, Server::kNone, none, at("192.0.2.2:80"));
  addBeside("no route, VIP, RANDOM", Client::kHooked, Server::kNone, none, at("10.96.0.9:80"));
  return kinds;
}

// Of a node that has a service of an address range: what is no VIP is looked for among the ranges.
constexpr const char* kRange = "10.97.0.0/16:80";
constexpr const char* kRangeNowhere = "10.98.0.0/16:80";  // no route to its endpoints

std::vector<Kind> makeRangeKinds(const Servers& servers) {
  std::vector<Kind> kinds;
  const auto add = [&](const char* name, Client client, Server server, std::size_t base,
                       const SocketAddress& target) {
    kinds.push_back({name, client, server, base, target, {}, {}});
  };
  add("no hook", Client::kPlain, Server::kPlain, 0, on2(servers.plain));
  add("no service", Client::kHooked, Server::kPlain, 0, on2(servers.plain));
  add("VIP, RANDOM", Client::kHooked, Server::kPlain, 0, at("10.96.0.1:80"));
  add("VIP in a range, RANDOM", Client::kHooked, Server::kPlain, 0, at("10.97.3.4:80"));
  const std::size_t none = kinds.size();
  add("no route, no hook", Client::kPlain, Server::kNone, none, at("192.0.2.2:80"));
  add("no route, no service", Client::kHooked, Server::kNone, none, at("192.0.2.2:80"));
  add("no route, VIP, RANDOM", Client::kHooked, Server::kNone, none, at("10.96.0.9:80"));
  add("no route, VIP in a range, RANDOM", Client::kHooked, Server::kNone, none, at("10.98.3.4:80"));
  return kinds;
}

// The VIPs of makeKinds(), and other VIPs without connections.
Snapshot makeServices(const Servers& servers, int others) {
  const auto hosts = hostsAt("127.0.0.", servers.plain.port);
  Snapshot snapshot;
  snapshot.complete = true;
  const auto add = [&](int n, const BenchService& service) {
    addService(snapshot, "10.96.0." + std::to_string(n) + ":80", hosts, service);
  };
  add(1, {LbPolicy::kRandom});
  add(2, {LbPolicy::kRoundRobin});
  add(3, {LbPolicy::kLeastRequest});
  add(4, {LbPolicy::kLeastRequest, true});
  add(5, {LbPolicy::kMaglev});
  add(6, {LbPolicy::kRingHash});
  add(7, {LbPolicy::kRandom});
  add(8, {LbPolicy::kMaglev, false, 150});
  addService(snapshot, "10.96.0.9:80", hostsAt("192.0.2.", 80));
  addService(snapshot, "[fd00::1]:80", {servers.six});
  for (int i = 0; i < others; ++i) {
    addService(snapshot,
               "10." + std::to_string(100 + i / 62500) + "." + std::to_string(i / 250 % 250) + "." +
                   std::to_string(i % 250 + 1) + ":80",
               hosts);
  }
  return snapshot;
}

void runRounds(std::vector<Kind>& kinds, const Cgroups& cgroups, const Listeners& listeners,
               int rounds) {
  constexpr int kWarmUp = 2;
  for (int i = 0; i < rounds + kWarmUp; ++i) {
    Round round(kinds, cgroups, listeners);
    if (i >= kWarmUp) round.keep();
  }
}

// The rounds as one process hands them to another.
void sendRounds(const std::vector<Kind>& kinds, std::FILE* to) {
  for (const Kind& kind : kinds) {
    for (const Rounds Kind::*rounds : {&Kind::medians, &Kind::tails}) {
      for (const auto& times : kind.*rounds) {
        const std::size_t count = times.size();
        std::fwrite(&count, sizeof(count), 1, to);
        std::fwrite(times.data(), sizeof(double), count, to);
      }
    }
  }
}

void addRounds(std::vector<Kind>& kinds, std::FILE* from) {
  for (Kind& kind : kinds) {
    for (Rounds Kind::*rounds : {&Kind::medians, &Kind::tails}) {
      for (auto& times : kind.*rounds) {
        std::size_t count = 0;
        if (std::fread(&count, sizeof(count), 1, from) != 1) return;
        std::vector<double> more(count);
        if (std::fread(more.data(), sizeof(double), count, from) != count) return;
        times.insert(times.end(), more.begin(), more.end());
      }
    }
  }
}

// A process on each CPU, with listeners of its own: a socket belongs to its process's cgroup.
void runOnCpus(std::vector<Kind>& kinds, int cpus, const std::function<void()>& runOnce) {
  std::vector<std::FILE*> answers;
  for (int cpu = 0; cpu < cpus; ++cpu) {
    int pipe[2];
    if (::pipe(pipe) != 0) die(Error::fromErrno("pipe", errno));
    if (fork() == 0) {
      pinTo(cpu);
      runOnce();
      std::FILE* to = fdopen(pipe[1], "w");
      sendRounds(kinds, to);
      std::fclose(to);
      _exit(0);
    }
    close(pipe[1]);
    answers.push_back(fdopen(pipe[0], "r"));
  }
  for (std::FILE* from : answers) {
    addRounds(kinds, from);
    std::fclose(from);
  }
  while (wait(nullptr) > 0) {
  }
}

UniqueFd listenAt(SocketAddress& address) {
  auto listener = listenOn(address, 4096);
  if (!listener) die(listener.error());
  return std::move(listener).value();
}

Listeners listenOnAll(Servers& servers, const Sandbox& sandbox) {
  Listeners listeners;
  if (auto moved = sandbox.enter(); !moved) die(moved.error());
  listeners.hooked = listenAt(servers.hooked);
  if (auto moved = sandbox.leave(); !moved) die(moved.error());
  listeners.plain = listenAt(servers.plain);
  listeners.six = listenAt(servers.six);
  return listeners;
}

int run(int rounds, int others, int cpus) {
  BenchMesh mesh;
  const Sandbox& sandbox = mesh.sandbox();
  Servers servers{at("0.0.0.0:0"), at("0.0.0.0:0"), at("[::1]:0")};
  const Listeners listeners = listenOnAll(servers, sandbox);
  auto other = Sandbox::create();
  if (!other) die(other.error());
  const UniqueFd link = attachEmptySockOps(**other);
  const Cgroups cgroups{sandbox, **other};
  CompilerOptions rules;
  rules.affinity.byVip[at("10.96.0.7:80")] = 3600;
  Snapshot snapshot = makeServices(servers, others);
  mesh.apply(snapshot, rules);

  const auto measure = [&](std::vector<Kind>& kinds) {
    const auto once = [&] { runRounds(kinds, cgroups, listeners, rounds); };
    if (cpus > 1) return runOnCpus(kinds, cpus, once);
    pinTo(sched_getcpu());
    once();
  };
  std::vector<Kind> kinds = makeKinds(servers);
  measure(kinds);
  std::printf("%d rounds of %d sockets of each kind, %d CPU(s) at once, loopback, %zu services\n",
              rounds, kSockets, cpus, mesh.services());
  print("connect()", kinds, &Kind::medians, kConnect);
  print("connect(), p99", kinds, &Kind::tails, kConnect);
  print("accept()", kinds, &Kind::medians, kAccept);
  print("close()", kinds, &Kind::medians, kClose);
  print("close() at the server", kinds, &Kind::medians, kServerClose);

  addService(snapshot, kRange, hostsAt("127.0.0.", servers.plain.port));
  addService(snapshot, kRangeNowhere, hostsAt("192.0.2.", 80));
  mesh.apply(snapshot, rules);
  std::vector<Kind> rangeKinds = makeRangeKinds(servers);
  measure(rangeKinds);
  print("connect(), node with ranges", rangeKinds, &Kind::medians, kConnect);
  print("connect(), p99, node with ranges", rangeKinds, &Kind::tails, kConnect);
  return 0;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::run(argc > 1 ? std::atoi(argv[1]) : 100,
                             argc > 2 ? std::atoi(argv[2]) : 1000,
                             argc > 3 ? std::atoi(argv[3]) : 1);
}
