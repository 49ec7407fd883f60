// SPDX-License-Identifier: Apache-2.0
// How long a dying endpoint is still chosen: from the failing event (the kernel's own time of the
// ejection) to the last connect() that was sent there (when it was called), on any CPU, with the
// agent idle, busy and dead. usage: ejection_bench [EJECTIONS]
//
// One of four endpoints has its port closed. The processes of one, two and thirty pods connect
// without pause; on loopback the refusal is on the socket when connect() returns. The ejection is
// the node's: more than half of the pods agree to it, each after failures of its own. Base and
// greatest ejection time are as short as a sweep, so the endpoint comes back, fails, and is ejected
// again and again.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "datapath/datapath.h"
#include "maps/endpoint_state_reader.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "support/eventually.h"
#include "support/mesh.h"
#include "support/net.h"

namespace sockmesh::test {
namespace {

constexpr const char* kVip = "10.96.0.1:80";
constexpr int kBackends = 4;
constexpr std::array kClients = {1, 2, 30};
constexpr int kOthers = 300;  // services that a busy agent is given anew all the time

std::uint64_t nowNanos() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000'000ULL +
         static_cast<std::uint64_t>(ts.tv_nsec);
}

int errorOf(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

// What a client's process notes, in memory that it shares with the bench.
struct Notes {
  static constexpr std::size_t kMost = 1U << 17;
  std::atomic<bool> done;
  std::atomic<std::uint64_t> connects;
  std::atomic<std::size_t> wrongCount;
  std::array<std::uint64_t, kMost> wrong;  // when it connected to the closed port
};

// A process of a pod, which connects on one CPU until told.
class Connector {
 public:
  Connector(int cpu, const std::string& cgroup) {
    void* memory =
        mmap(nullptr, sizeof(Notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::exit(1);
    notes_ = static_cast<Notes*>(memory);
    pid_ = fork();
    if (pid_ == 0) run(cpu, cgroup);
  }
  ~Connector() {
    stop();
    munmap(notes_, sizeof(Notes));
  }
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  void stop() {
    notes_->done = true;
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::span<const std::uint64_t> wrong() const {
    return {notes_->wrong.data(), notes_->wrongCount};
  }
  std::uint64_t connects() const { return notes_->connects; }

 private:
  [[noreturn]] void run(int cpu, const std::string& cgroup) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The agent and the watcher have their turns beside thirty of these.
    setpriority(PRIO_PROCESS, 0, 10);
    if (!(std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush)) _exit(1);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    const SocketAddress vip = at(kVip);
    while (!notes_->done) {
      const UniqueFd socket = tcpSocket(false, true);
      const linger reset{1, 0};
      setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
      const std::uint64_t from = nowNanos();
      connectErrno(socket.get(), vip);
      if (errorOf(socket.get()) == ECONNREFUSED && notes_->wrongCount < Notes::kMost) {
        notes_->wrong[notes_->wrongCount++] = from;
      }
      ++notes_->connects;
    }
    _exit(0);
  }

  Notes* notes_ = nullptr;
  pid_t pid_ = -1;
};

// The cgroups of so many pods, as the kubelet makes them.
class PodGroups {
 public:
  PodGroups(const std::string& root, int count) {
    make(root + "/kubepods");
    for (int n = 0; n < count; ++n) make(root + "/kubepods/pod" + std::to_string(n));
  }
  ~PodGroups() {
    for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
      eventually([&] { return rmdir(folder->c_str()) == 0; });
    }
  }
  PodGroups(const PodGroups&) = delete;
  PodGroups& operator=(const PodGroups&) = delete;
  const std::string& pod(int n) const { return folders_[static_cast<std::size_t>(n) + 1]; }

 private:
  void make(const std::string& folder) {
    if (mkdir(folder.c_str(), 0755) != 0) {
      std::perror(folder.c_str());
      std::exit(1);
    }
    folders_.push_back(folder);
  }
  std::vector<std::string> folders_;
};

// Backends that accept and forget, on a thread of their own. Backend 0 is closed.
class Backends {
 public:
  Backends() {
    SocketAddress spare = at("127.0.4.254:0");
    spare_ = std::move(listenOn(spare)).value();
    for (int n = 0; n < kBackends; ++n) {
      SocketAddress address =
          at("127.0.4." + std::to_string(n + 1) + ":" + std::to_string(spare.port));
      addresses_.push_back(address.toString());
      if (n == 0) continue;
      listeners_.push_back(std::move(listenOn(address, 4096)).value());
      fcntl(listeners_.back().get(), F_SETFL, O_NONBLOCK);
    }
    thread_ = std::thread([this] { drain(); });
  }
  ~Backends() {
    done_ = true;
    thread_.join();
  }
  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  void drain() const {
    std::vector<pollfd> polled;
    for (const UniqueFd& listener : listeners_) polled.push_back({listener.get(), POLLIN, 0});
    while (!done_) {
      poll(polled.data(), polled.size(), 100);
      for (const UniqueFd& listener : listeners_) {
        while (UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
        }
      }
    }
  }

  UniqueFd spare_;
  std::vector<UniqueFd> listeners_;
  std::vector<std::string> addresses_;
  std::atomic<bool> done_{false};
  std::thread thread_;  // last: it uses all of the above
};

std::string resources(const Backends& backends, const std::string& policy) {
  return serviceYaml(kVip, "c", backends.addresses(),
                     "  lb_policy: " + policy +
                         "\n  outlier_detection: { interval: 0.01s, base_ejection_time: 0.01s, "
                         "max_ejection_time: 0.01s, consecutive_5xx: 5, "
                         "consecutive_gateway_failure: 0, max_ejection_percent: 25 }\n");
}

std::uint32_t idOf(const KernelMaps& maps, const std::string& address) {
  const auto image = KernelImage::read(maps);
  if (!image) return 0;
  for (const auto& [id, endpoint] : image->endpoints) {
    if (endpoint.endpoint.address == at(address)) return id;
  }
  return 0;
}

void print(const char* policy, const char* agent, int clients, std::vector<double> micros,
           std::size_t late, std::size_t refused, std::uint64_t connects) {
  std::sort(micros.begin(), micros.end());
  const auto at = [&](double q) {
    return micros[static_cast<std::size_t>(q * static_cast<double>(micros.size() - 1))];
  };
  std::printf("%-12s %-6s %7d %10zu %10zu %10.1f %10.1f %10.1f %10zu %10llu\n", policy, agent,
              clients, micros.size(), late, at(0.5), at(0.99), micros.back(), refused,
              static_cast<unsigned long long>(connects));
  std::fflush(stdout);
}

// Watches `count` ejections of the closed endpoint; the ejections' times.
std::vector<std::uint64_t> watch(const KernelMaps& maps, std::uint32_t id, std::size_t count) {
  std::vector<std::uint64_t> ejections;
  std::uint64_t last = static_cast<std::uint64_t>(readEndpointState(maps, id)->ejectedAt.count());
  const std::uint64_t giveUp = nowNanos() + count * 1'000'000'000ULL;
  while (ejections.size() < count && nowNanos() < giveUp) {
    usleep(200);
    const auto line = readEndpointState(maps, id);
    const auto at = static_cast<std::uint64_t>(line->ejectedAt.count());
    if (at == last) continue;
    last = at;
    ejections.push_back(at);
  }
  return ejections;
}

// Each client has one process at least, and each CPU too.
std::vector<std::unique_ptr<Connector>> startClients(const PodGroups& pods, int clients) {
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::unique_ptr<Connector>> out;
  for (int n = 0; n < std::max(clients, cpus); ++n) {
    out.push_back(std::make_unique<Connector>(n % cpus, pods.pod(n % clients)));
  }
  return out;
}

void measure(const Sandbox& sandbox, const PodGroups& pods, const Backends& backends,
             const char* policy, const char* agent, int clients, std::size_t count) {
  auto maps = KernelMaps::open(PinPath(sandbox.bpffs()).maps(), MapAccess::kReadWrite);
  if (!maps) {
    std::fprintf(stderr, "%s\n", maps.error().message().c_str());
    std::exit(1);
  }
  const std::uint32_t id = idOf(**maps, backends.addresses()[0]);
  const auto connectors = startClients(pods, clients);
  const auto ejections = watch(**maps, id, count);
  std::vector<std::uint64_t> wrong;
  std::uint64_t connects = 0;
  for (const auto& connector : connectors) {
    connector->stop();
    wrong.insert(wrong.end(), connector->wrong().begin(), connector->wrong().end());
    connects += connector->connects();
  }
  std::sort(wrong.begin(), wrong.end());
  std::vector<double> micros;
  std::size_t late = 0;
  for (const std::uint64_t ejected : ejections) {
    // Until it may have come back: its time is 10 ms.
    auto last = std::lower_bound(wrong.begin(), wrong.end(), ejected + 10'000'000);
    const bool any = last != wrong.begin() && *--last > ejected;
    late += any ? 1 : 0;
    micros.push_back(any ? static_cast<double>(*last - ejected) / 1000 : 0);
  }
  if (micros.empty()) {
    std::fprintf(stderr, "%s, agent %s, %d clients: no ejection was seen\n", policy, agent,
                 clients);
    std::exit(1);
  }
  print(policy, agent, clients, std::move(micros), late, wrong.size(), connects);
}

// Gives the agent new weights of other services without pause.
class Busywork {
 public:
  explicit Busywork(const Mesh& mesh) : thread_([this, &mesh] { run(mesh); }) {}
  ~Busywork() {
    done_ = true;
    thread_.join();
  }

 private:
  void run(const Mesh& mesh) {
    for (int turn = 0; !done_; ++turn) {
      std::string all;
      for (int n = 0; n < kOthers; ++n) {
        const std::string ip =
            "10.97." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1);
        const std::string yaml =
            serviceYaml(ip + ":80", "other-" + std::to_string(n),
                        {"10.1.0.1:80*" + std::to_string(turn % 7 + 1), "10.1.0.2:80*3"});
        all += all.empty() ? yaml : yaml.substr(yaml.find('\n') + 1);
      }
      mesh.serve("others.yaml", all);
      usleep(50'000);
    }
  }
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Waits until connections can go to any backend.
bool awaitAll(const Mesh& mesh) {
  return mesh.awaitImage([](const KernelImage& image) {
    const auto found = image.services.find({at(kVip), Protocol::kTcp});
    return found != image.services.end() &&
           found->second.service->groups[0]->hosts.size() == kBackends;
  });
}

// One policy and one number of pods, on new maps: who used an endpoint before has a voice for a
// minute or two.
bool measureOne(const Sandbox& sandbox, const PodGroups& pods, const Backends& backends,
                const char* policy, int clients, std::size_t count) {
  Mesh mesh(sandbox);
  mesh.serve("c.yaml", resources(backends, policy));
  mesh.startControlPlane();
  mesh.startAgent();
  if (!mesh.ready() || !awaitAll(mesh)) {
    std::fprintf(stderr, "%s\n", mesh.agent().log().c_str());
    return false;
  }
  measure(sandbox, pods, backends, policy, "idle", clients, count);
  {
    const Busywork work(mesh);
    measure(sandbox, pods, backends, policy, "busy", clients, count);
  }
  // If an agent ends while its tables lack the endpoint, the endpoint stays out.
  if (!awaitAll(mesh)) {
    std::fprintf(stderr, "the endpoint did not return\n%s\n", mesh.agent().log().c_str());
    return false;
  }
  mesh.killAgent();
  measure(sandbox, pods, backends, policy, "dead", clients, count);
  std::filesystem::remove_all(mesh.folder());
  [[maybe_unused]] const auto cleaned = Datapath::cleanup(sandbox.bpffs());
  return true;
}

int measureAll(std::size_t count) {
  if (auto entered = enterNamespaces(); !entered) return 1;
  auto sandbox = Sandbox::create();
  if (!sandbox) {
    std::fprintf(stderr, "%s\n", sandbox.error().message().c_str());
    return 1;
  }
  std::printf("Last wrong choice after an ejection, in microseconds; 0 where there was none.\n");
  std::printf("%-12s %-6s %7s %10s %10s %10s %10s %10s %10s %10s\n", "policy", "agent", "clients",
              "ejections", "with any", "p50", "p99", "max", "refused", "connects");
  const PodGroups pods((*sandbox)->cgroup(), std::ranges::max(kClients));
  const Backends backends;
  for (const int clients : kClients) {
    for (const char* policy : {"ROUND_ROBIN", "MAGLEV"}) {
      if (!measureOne(**sandbox, pods, backends, policy, clients, count)) return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::measureAll(argc > 1 ? static_cast<std::size_t>(std::atoll(argv[1]))
                                             : 1000);
}
