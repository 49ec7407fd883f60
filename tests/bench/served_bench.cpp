// SPDX-License-Identifier: Apache-2.0
// What it costs to ask whether a pod is served: connect() to a VIP where no packet leaves, with
// nothing to ask, with sidecars to look for, and with rules by network namespace and by cgroup. And
// what the other way would cost: to attach the programs to a pod's cgroup. usage: served_bench
// [ROUNDS]
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/bench_mesh.h"
#include "bench/paired.h"
#include "maps/pin_path.h"
#include "maps/program_names.h"
#include "maps/served_rules.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

constexpr int kSockets = 200;  // of a kind, a round
constexpr const char* kVip = "10.96.0.9:80";

struct Kind {
  const char* name;
  std::uint32_t flags;  // SM_SERVED_*
  std::vector<double> medians;
};

// Written without a new epoch: verdicts are kept, as they are most of the time.
void setFlags(KernelMaps& maps, std::uint32_t flags) {
  maps.globals[0].served_flags = flags;
}

void measure(std::vector<Kind>& kinds, KernelMaps& maps, bool kept) {
  std::vector<std::vector<double>> times(kinds.size());
  ServedRules rules(maps);
  inTurns(kinds.size(), kSockets, [&](std::size_t k, std::size_t) {
    setFlags(maps, kinds[k].flags);
    if (!kept) rules.changed();
    const UniqueFd client = tcpSocket(false, true);
    const auto from = nowNanos();
    connectErrno(client.get(), at(kVip));
    times[k].push_back(static_cast<double>(nowNanos() - from));
  });
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    kinds[k].medians.push_back(quantile(times[k], 0.5));
  }
}

void lookUp(BenchMesh& mesh, int rounds, bool kept) {
  std::vector<Kind> kinds = {{"nothing to ask", 0, {}},
                             {"sidecars", SM_SERVED_NOT_SIDECARS, {}},
                             {"rules by namespace", SM_SERVED_BY_NETNS, {}},
                             {"rules by cgroup", SM_SERVED_BY_CGROUP, {}}};
  for (int i = 0; i < rounds; ++i) measure(kinds, mesh.datapath().maps(), kept);
  std::printf("\n%-34s %10s %14s %22s\n", kept ? "connect(), the verdict is known" : "asked anew",
              "", "over nothing", "middle half of rounds");
  for (const Kind& kind : kinds) {
    const auto& base = kinds.front().medians;
    std::printf("  %-32s %7.0f ns %11.0f ns %10.0f .. %.0f ns\n", kind.name,
                quantile(kind.medians, 0.5), over(kind.medians, base, 0.5),
                over(kind.medians, base, 0.25), over(kind.medians, base, 0.75));
  }
}

struct Program {
  UniqueFd fd;  // of the program
  bpf_attach_type type{};
};

// What is attached to cgroups, as the pinned links have it.
std::vector<Program> attachedPrograms(const Sandbox& sandbox) {
  std::vector<Program> programs;
  for (const std::string& name : programNames()) {
    const std::string path = PinPath(sandbox.bpffs()).links() + "/" + name;
    const UniqueFd link(bpf_obj_get(path.c_str()));
    bpf_link_info info{};
    std::uint32_t length = sizeof(info);
    if (!link.valid() || bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) {
      die(Error::fromErrno(path, errno));
    }
    if (info.type != BPF_LINK_TYPE_CGROUP) continue;
    programs.push_back({UniqueFd(bpf_prog_get_fd_by_id(info.prog_id)),
                        static_cast<bpf_attach_type>(info.cgroup.attach_type)});
  }
  return programs;
}

void attach(const Sandbox& sandbox, int pods) {
  const std::vector<Program> programs = attachedPrograms(sandbox);
  std::vector<double> times;
  for (int i = 0; i < pods; ++i) {
    const std::string pod = sandbox.cgroup() + "/pod";
    if (mkdir(pod.c_str(), 0755) != 0) die(Error::fromErrno(pod, errno));
    const UniqueFd cgroup(open(pod.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::vector<UniqueFd> links;
    const auto from = nowNanos();
    for (const Program& program : programs) {
      links.emplace_back(bpf_link_create(program.fd.get(), cgroup.get(), program.type, nullptr));
      if (!links.back().valid()) die(Error::fromErrno("bpf_link_create", errno));
    }
    times.push_back(static_cast<double>(nowNanos() - from) / 1000);
    links.clear();
    rmdir(pod.c_str());
  }
  std::printf("\nattaching %zu programs to a pod's cgroup: %.0f us, p99 %.0f us, %d pods\n",
              programs.size(), quantile(times, 0.5), quantile(times, kTail), pods);
}

int run(int rounds) {
  BenchMesh mesh;
  Snapshot snapshot;
  snapshot.complete = true;
  addService(snapshot, kVip, hostsAt("192.0.2.", 80));
  mesh.apply(snapshot);
  ServedRules rules(mesh.datapath().maps());
  const std::vector<std::vector<std::uint16_t>> sidecars = {{15001, 15006}, {4140, 4143}};
  if (auto ok = rules.setSidecars(sidecars); !ok) die(ok.error());
  // Looked for here, too, although this is the agent's own namespace.
  BpfHash<sm_served_key, sm_served_rule>& map = mesh.datapath().maps().served;
  for (std::uint32_t i = 0; i < sidecars.size(); ++i) {
    const sm_served_key key{.id = i, .kind = SM_SERVED_SIDECAR, .pad = 0};
    sm_served_rule rule = map.find(key).value();
    rule.netns_cookie = 0;
    if (auto ok = map.put(key, rule); !ok) die(ok.error());
  }
  if (auto moved = mesh.sandbox().enter(); !moved) die(moved.error());
  pinTo(sched_getcpu());
  std::printf("%d rounds of %d sockets of each kind, no packet leaves\n", rounds, kSockets);
  for (const bool kept : {true, false}) lookUp(mesh, rounds, kept);
  setFlags(mesh.datapath().maps(), 0);
  attach(mesh.sandbox(), 100);
  return 0;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::run(argc > 1 ? std::atoi(argv[1]) : 100);
}
