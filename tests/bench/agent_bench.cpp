// SPDX-License-Identifier: Apache-2.0
// What the agent costs at size: cold start, one endpoint's change, a storm of them, one cluster's
// change, a restart, and nothing at all, over a real ADS stream into real maps.
// usage: agent_bench [--services N[,N...]] [--endpoints N] [--storm SECONDS] [--sotw] [--json]
//
// Time is measured from outside: from the moment the server hands the message to gRPC to the moment
// the word in `heads` (or the cluster's line) has changed in the kernel. CPU is the agent's alone.
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "bench/ads_generator.h"
#include "datapath/datapath.h"
#include "maps/codec.h"
#include "maps/kernel_image.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "support/mesh.h"

namespace sockmesh::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kChanges = 300;        // one endpoint's change, one after the other
constexpr int kClusterChanges = 10;  // in state of the world, each sends all clusters
constexpr int kStormRate = 1000;     // changes a second
constexpr std::chrono::microseconds kLook{20};
// Twice the interval of outlier detection: what comes once an interval is in it, and in proportion.
constexpr seconds kIdle{20};

struct Options {
  std::vector<int> services = {1000, 10000};
  int endpoints = 10;
  int stormSeconds = 10;
  bool sotw = false;  // state of the world; otherwise delta, which is the agent's default
  bool json = false;
};

double now() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

[[noreturn]] void die(const std::string& what, const std::string& log = "") {
  std::fprintf(stderr, "%s\n%s\n", what.c_str(), log.c_str());
  std::exit(1);
}

// User and system time of a process so far, in seconds.
double cpuOf(pid_t pid) {
  clockid_t clock{};
  timespec ts{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0) return 0;
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

// A line of /proc/PID/status, in MiB.
double memoryOf(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::atof(line.c_str() + name.size() + 1) / 1024;
  }
  return 0;
}

// The kernel's tables, watched without the agent.
class Watch {
 public:
  explicit Watch(const std::string& bpffs) : directory_(PinPath(bpffs).maps()) {}

  // Opens the maps again: pages may have been added.
  bool open() {
    auto maps = KernelMaps::open(directory_, MapAccess::kReadOnly);
    if (maps) maps_ = std::move(maps).value();
    return maps.ok();
  }
  int published() const {
    int heads = 0;
    for (std::size_t i = 0; i < maps_->heads.size(); ++i) heads += head(i) != 0 ? 1 : 0;
    return heads;
  }
  // Every service is there, with all of its endpoints.
  bool whole(const MeshShape& shape) const {
    const auto image = KernelImage::read(*maps_);
    if (!image || image->services.size() != static_cast<std::size_t>(shape.services)) return false;
    return std::ranges::all_of(image->services, [&](const auto& entry) {
      std::size_t hosts = 0;
      for (const auto& group : entry.second.service->groups) hosts += group->hosts.size();
      return hosts == static_cast<std::size_t>(shape.endpoints);
    });
  }
  std::uint32_t serviceId(int number) const {
    return maps_->frontends4.find(encodeFrontend4({vipOf(number), Protocol::kTcp})).value_or(0);
  }
  std::uint32_t head(std::size_t service) const {
    return __atomic_load_n(&maps_->heads[service], __ATOMIC_ACQUIRE);
  }
  std::uint64_t connectTimeout(int number) const {
    const sm_descriptor* d = maps_->descriptors.at(head(serviceId(number)));
    const sm_group* group = d == nullptr ? nullptr : maps_->groups.at(d->group_first);
    const auto* line = group == nullptr ? nullptr : maps_->clusterState.at(group->cluster_id);
    return line == nullptr ? 0 : __atomic_load_n(&line->connect_timeout_ns, __ATOMIC_ACQUIRE);
  }

 private:
  std::string directory_;
  std::unique_ptr<KernelMaps> maps_;
};

// Looks again and again; the time of the first success. A measuring thread that never slept would
// take a CPU from the agent, whose threads would wait for a tick of the scheduler (4 ms) to get it.
std::optional<double> await(const std::function<bool()>& condition, double patience,
                            std::chrono::microseconds pause = kLook) {
  for (const double until = now() + patience; now() < until;) {
    if (condition()) return now();
    std::this_thread::sleep_for(pause);
  }
  return std::nullopt;
}

class Run {
 public:
  Run(const Sandbox& sandbox, MeshShape shape, const Options& options)
      : bpffs_(sandbox.bpffs()), mesh_(sandbox), watch_(bpffs_), shape_(shape), options_(options) {
    if (options.sotw) agentFlags_ = mesh_.agentConfig("ads: {protocol: SOTW}\n");
    generator_ = std::make_unique<AdsGenerator>(shape, "127.0.0.1:18000");
    if (!generator_->listening()) die("cannot listen on 127.0.0.1:18000");
  }

  nlohmann::json all() {
    nlohmann::json result = {{"services", shape_.services},
                             {"endpoints", shape_.endpoints},
                             {"protocol", options_.sotw ? "sotw" : "delta"}};
    result["cold_start"] = coldStart();
    result["idle"] = idle();
    result["endpoint_change"] = endpointChanges();
    result["cluster_change"] = clusterChanges();
    result["storm"] = storm();
    result["restart"] = restart();
    return result;
  }

 private:
  pid_t agent() { return mesh_.agent().pid(); }
  // Any service except the first, which is the probe of storm().
  int anyService() {
    const auto others = static_cast<unsigned>(std::max(1, shape_.services - 1));
    return shape_.services == 1 ? 0 : 1 + static_cast<int>(random_() % others);
  }

  nlohmann::json memory() {
    return {{"resident_mib", memoryOf(agent(), "VmRSS")},
            {"own_mib", memoryOf(agent(), "RssAnon")},
            {"peak_mib", memoryOf(agent(), "VmHWM")}};
  }

  nlohmann::json coldStart() {
    const double patience = 30 + shape_.services / 500.0;
    const double start = now();
    mesh_.startAgent(agentFlags_);
    if (!await([&] { return watch_.open(); }, 20, milliseconds(2))) lost("no maps");
    const auto published =
        await([&] { return watch_.published() == shape_.services; }, patience, milliseconds(2));
    if (!published) lost("not all services were published");
    // The program that is attached last.
    const std::string link = PinPath(bpffs_).links() + "/sm_connect4";
    const auto attached =
        await([&] { return access(link.c_str(), F_OK) == 0; }, patience, milliseconds(2));
    if (!attached) lost("nothing was attached");
    // Services may be published before their endpoints are known. Reading everything takes long, so
    // the time is that of before the reading.
    const double served = *attached;
    double end = served;
    const auto whole = await(
        [&] {
          const double before = now();
          if (!watch_.open() || !watch_.whole(shape_)) return false;
          if (end != served || before - served > 0.05) end = before;
          return true;
        },
        patience, milliseconds(20));
    if (!whole) lost("not all endpoints arrived");
    nlohmann::json result = memory();
    result["seconds"] = end - start;
    result["cpu_seconds"] = cpuOf(agent());
    return result;
  }

  nlohmann::json idle() {
    // The agent gives memory back 3 s after a large response.
    std::this_thread::sleep_for(seconds(4));
    const double before = cpuOf(agent());
    const double start = now();
    std::this_thread::sleep_for(kIdle);
    nlohmann::json result = memory();
    result["seconds"] = now() - start;
    result["cpu_percent"] = 100 * (cpuOf(agent()) - before) / (now() - start);
    return result;
  }

  // Sends one change and waits until the kernel has it: seconds.
  double change(int number) {
    const std::uint32_t id = watch_.serviceId(number);
    const std::uint32_t before = watch_.head(id);
    const double start = now();
    generator_->changeEndpoint(number);
    const auto end = await([&] { return watch_.head(id) != before; }, 300);
    if (!end) lost("a change did not arrive");
    return *end - start;
  }

  nlohmann::json endpointChanges() {
    std::vector<double> times;
    const double before = cpuOf(agent());
    for (int i = 0; i < kChanges; ++i) {
      times.push_back(1000 * change(anyService()));
      std::this_thread::sleep_for(milliseconds(3));
    }
    return {{"p50_ms", quantile(times, 0.5)},
            {"p99_ms", quantile(times, 0.99)},
            {"max_ms", quantile(times, 1)},
            {"cpu_ms_each", 1000 * (cpuOf(agent()) - before) / kChanges}};
  }

  nlohmann::json clusterChanges() {
    std::vector<double> times;
    watch_.open();
    const double before = cpuOf(agent());
    for (int i = 0; i < kClusterChanges; ++i) {
      const int number = anyService();
      const int timeout = 2000 + i;
      const double start = now();
      generator_->changeCluster(number, timeout);
      const auto end = await(
          [&] { return watch_.connectTimeout(number) == 1'000'000ULL * std::uint64_t(timeout); },
          30);
      if (!end) lost("a changed cluster did not arrive");
      times.push_back(1000 * (*end - start));
      std::this_thread::sleep_for(milliseconds(3));
    }
    return {{"p50_ms", quantile(times, 0.5)},
            {"max_ms", quantile(times, 1)},
            {"cpu_ms_each", 1000 * (cpuOf(agent()) - before) / kClusterChanges}};
  }

  // Many changes at a fixed rate; then one more, which shows what is queued.
  nlohmann::json storm() {
    const double before = cpuOf(agent());
    const double start = now();
    const int changes = options_.stormSeconds * kStormRate;
    for (int i = 0; i < changes; ++i) {
      const double due = start + static_cast<double>(i) / kStormRate;
      if (due > now()) std::this_thread::sleep_for(std::chrono::duration<double>(due - now()));
      generator_->changeEndpoint(anyService());
    }
    const double sent = now();
    const double behind = change(0);
    const double cpu = cpuOf(agent()) - before;
    nlohmann::json result = memory();
    result["changes_per_second"] = changes / (sent - start);
    result["cpu_percent"] = 100 * cpu / (now() - start);
    result["behind_ms"] = 1000 * behind;
    return result;
  }

  nlohmann::json restart() {
    const std::uint64_t sent = generator_->sentBytes();
    mesh_.killAgent();
    const double start = now();
    mesh_.startAgent(agentFlags_);
    const auto ready = await([&] { return mesh_.statusOf("/readyz") == 200; }, 60, milliseconds(2));
    if (!ready) lost("not ready after a restart");
    // Everything was sent again, and has been written as far as it differs.
    const double bytes = static_cast<double>(sent) / 2;
    await([&] { return static_cast<double>(generator_->sentBytes() - sent) > bytes; }, 5,
          milliseconds(5));
    await([&] { return mesh_.agent().log().find(" writes in ") != std::string::npos; }, 1,
          milliseconds(50));
    return {{"ready_seconds", *ready - start}, {"writes", writes()}};
  }

  // The agent's own count, all maps.
  double writes() const {
    const std::string metrics = mesh_.get("/metrics");
    double sum = 0;
    for (std::size_t at = 0;
         (at = metrics.find("\nsockmesh_map_writes_total{", at)) != std::string::npos; ++at) {
      sum += std::atof(metrics.c_str() + metrics.find("} ", at) + 2);
    }
    return sum;
  }

  [[noreturn]] void lost(const std::string& what) {
    const std::string log = mesh_.agent().log();
    die(what, "... " + log.substr(log.size() - std::min<std::size_t>(log.size(), 2000)));
  }

  std::string bpffs_;
  Mesh mesh_;
  Watch watch_;
  MeshShape shape_;
  const Options& options_;
  std::vector<std::string> agentFlags_;
  std::unique_ptr<AdsGenerator> generator_;
  std::mt19937 random_{1};  // the same services are changed each time
};

void print(const nlohmann::json& r) {
  const auto number = [&](const char* part, const char* name) {
    return r.at(part).at(name).get<double>();
  };
  std::printf("%d services of %d endpoints\n", r.at("services").get<int>(),
              r.at("endpoints").get<int>());
  std::printf("  cold start         %8.2f s      CPU %.2f s, %.0f MiB resident, %.0f its own\n",
              number("cold_start", "seconds"), number("cold_start", "cpu_seconds"),
              number("cold_start", "resident_mib"), number("cold_start", "own_mib"));
  std::printf("  idle               %8.3f %% of a CPU for %.0f s, %.0f MiB its own\n",
              number("idle", "cpu_percent"), number("idle", "seconds"), number("idle", "own_mib"));
  std::printf("  endpoint's change  %8.2f ms     p99 %.2f, max %.2f, CPU %.2f ms each\n",
              number("endpoint_change", "p50_ms"), number("endpoint_change", "p99_ms"),
              number("endpoint_change", "max_ms"), number("endpoint_change", "cpu_ms_each"));
  std::printf("  cluster's change   %8.2f ms     max %.2f, CPU %.2f ms each\n",
              number("cluster_change", "p50_ms"), number("cluster_change", "max_ms"),
              number("cluster_change", "cpu_ms_each"));
  std::printf("  storm, %5.0f/s     %8.2f %% CPU  %.2f ms behind, peak %.0f MiB\n",
              number("storm", "changes_per_second"), number("storm", "cpu_percent"),
              number("storm", "behind_ms"), number("storm", "peak_mib"));
  std::printf("  restart            %8.2f s      %.0f writes\n", number("restart", "ready_seconds"),
              number("restart", "writes"));
}

int measureAll(const Options& options) {
  prctl(PR_SET_TIMERSLACK, 1);  // a pause is as short as it says
  if (auto entered = enterNamespaces(); !entered) die(entered.error().message());
  nlohmann::json all = nlohmann::json::array();
  for (const int services : options.services) {
    auto sandbox = Sandbox::create();
    if (!sandbox) die(sandbox.error().message());
    all.push_back(Run(**sandbox, {services, options.endpoints}, options).all());
    if (!options.json) print(all.back());
    std::fflush(stdout);
    [[maybe_unused]] const auto cleaned = Datapath::cleanup((*sandbox)->bpffs());
  }
  if (options.json) std::printf("%s\n", all.dump(2).c_str());
  return 0;
}

[[noreturn]] void usage() {
  die("usage: agent_bench [--services N[,N...]] [--endpoints N] [--storm SECONDS] [--sotw] "
      "[--json]");
}

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--json" || arguments[i] == "--sotw") {
      (arguments[i] == "--json" ? options.json : options.sotw) = true;
      continue;
    }
    if (i + 1 == arguments.size()) usage();
    const std::string& value = arguments[i + 1];
    if (arguments[i] == "--services") {
      options.services.clear();
      std::istringstream list(value);
      for (std::string one; std::getline(list, one, ',');) {
        options.services.push_back(std::max(1, std::atoi(one.c_str())));
      }
    } else if (arguments[i] == "--endpoints") {
      options.endpoints = std::clamp(std::atoi(value.c_str()), 1, 60);
    } else if (arguments[i] == "--storm") {
      options.stormSeconds = std::max(1, std::atoi(value.c_str()));
    } else {
      usage();
    }
    ++i;
  }
  return options;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  if (!sockmesh::configureLogging("off", false)) return 1;
  return sockmesh::test::measureAll(sockmesh::test::parse({argv + 1, argv + argc}));
}
