// SPDX-License-Identifier: Apache-2.0
// The price of the hooks for UDP: connect(), sendto() on a flow that is known, sendto() of a new
// socket, recvfrom() of the answer, and close(); to a VIP, to an address that is no service, and
// without a hook. usage: udp_bench [ROUNDS]
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/bench_mesh.h"
#include "bench/paired.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

constexpr int kSockets = 100;  // of a kind, a round
constexpr char kVip[] = "10.96.0.1:53";

enum Step : std::size_t { kConnect, kFirstSend, kSend, kReceive, kClose, kSteps };
constexpr std::array<const char*, kSteps> kStepNames = {
    "connect()", "sendto(), the first of a socket", "sendto(), on a known flow",
    "recvfrom() of the answer", "close()"};

struct Kind {
  const char* name;
  bool hooked;
  bool connects;  // connect() and nothing else; otherwise it names the address with each send
  std::size_t base;
  SocketAddress target;
  std::array<std::vector<double>, kSteps> medians{};
};

class Round {
 public:
  Round(std::vector<Kind>& kinds, const Sandbox& sandbox, int server)
      : kinds_(kinds), server_(server), clients_(kinds.size()) {
    for (auto& times : times_) times.resize(kinds.size());
    each([&](std::size_t k, std::size_t) { makeSocket(k, sandbox); });
    each([&](std::size_t k, std::size_t i) {
      if (kinds_[k].connects)
        timed(kConnect, k, [&] { connectErrno(clients_[k][i].get(), kinds_[k].target); });
    });
    for (const Step step : {kFirstSend, kSend, kSend}) {
      each([&](std::size_t k, std::size_t i) {
        if (!kinds_[k].connects) sendAndReceive(step, k, clients_[k][i].get());
      });
    }
    each([&](std::size_t k, std::size_t i) { timed(kClose, k, [&] { clients_[k][i].reset(); }); });
  }

  void keep() {
    for (std::size_t step = 0; step < kSteps; ++step) {
      for (std::size_t k = 0; k < kinds_.size(); ++k) {
        if (times_[step][k].empty()) continue;
        kinds_[k].medians[step].push_back(quantile(times_[step][k], 0.5));
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

  void makeSocket(std::size_t k, const Sandbox& sandbox) {
    const auto moved = kinds_[k].hooked ? sandbox.enter() : sandbox.leave();
    if (!moved) die(moved.error());
    clients_[k].push_back(udpSocket());
  }

  // The datagram has arrived when sendto() returns: loopback has no queue.
  void sendAndReceive(Step step, std::size_t k, int client) {
    timed(step, k, [&] { sendErrno(client, "question", kinds_[k].target); });
    char text[64];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    recvfrom(server_, text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size);
    sendto(server_, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&from), size);
    sockaddr_in shown{};
    socklen_t shownSize = sizeof(shown);
    const auto receive = [&] {
      recvfrom(client, text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&shown), &shownSize);
    };
    if (step == kFirstSend) {
      receive();
    } else {
      timed(kReceive, k, receive);
    }
  }

  std::vector<Kind>& kinds_;
  int server_;
  std::vector<std::vector<UniqueFd>> clients_;
  std::array<std::vector<std::vector<double>>, kSteps> times_;
};

std::vector<Kind> makeKinds(const SocketAddress& server) {
  std::vector<Kind> kinds;
  for (const bool connects : {true, false}) {
    const std::size_t base = kinds.size();
    kinds.push_back({"no hook", false, connects, base, server});
    kinds.push_back({"no service", true, connects, base, server});
    kinds.push_back({"VIP, RANDOM", true, connects, base, at(kVip)});
  }
  return kinds;
}

void print(Step step, const std::vector<Kind>& kinds) {
  std::printf("\n%-34s %10s %12s %22s\n", kStepNames[step], "", "over no hook",
              "middle half of rounds");
  for (const Kind& kind : kinds) {
    const auto& ours = kind.medians[step];
    const auto& base = kinds[kind.base].medians[step];
    if (ours.empty()) continue;
    std::printf("  %s%-21s %7.0f ns %9.0f ns %10.0f .. %.0f ns\n",
                kind.connects ? "connected, " : "names each,", kind.name, quantile(ours, 0.5),
                over(ours, base, 0.5), over(ours, base, 0.25), over(ours, base, 0.75));
  }
}

int run(int rounds) {
  BenchMesh mesh;
  SocketAddress server = at("127.0.0.2:0");
  if (auto moved = mesh.sandbox().leave(); !moved) die(moved.error());
  auto socket = udpServer(server);
  if (!socket) die(socket.error());
  BenchService udp;
  udp.protocol = Protocol::kUdp;
  Snapshot snapshot;
  snapshot.complete = true;
  addService(snapshot, kVip, {server}, udp);
  mesh.apply(snapshot);

  std::vector<Kind> kinds = makeKinds(server);
  pinTo(sched_getcpu());
  constexpr int kWarmUp = 2;
  for (int i = 0; i < rounds + kWarmUp; ++i) {
    Round round(kinds, mesh.sandbox(), socket->get());
    if (i >= kWarmUp) round.keep();
  }
  std::printf("%d rounds of %d sockets of each kind, loopback\n", rounds, kSockets);
  for (std::size_t step = 0; step < kSteps; ++step) print(static_cast<Step>(step), kinds);
  return 0;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::run(argc > 1 ? std::atoi(argv[1]) : 100);
}
