// SPDX-License-Identifier: Apache-2.0
// The agent as a user meets it: real processes, a real ADS stream, real connections.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "datapath/datapath.h"
#include "integration/mesh_test.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

class Agent : public MeshTest {
 protected:
  void start() {
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }

  // Connections to each listener, of `count`.
  std::vector<int> spread(const std::string& vip, int count) {
    std::vector<int> reached(hosts_.size());
    for (int i = 0; i < count; ++i) {
      auto client = connectTo(at(vip));
      EXPECT_TRUE(client) << client.error().message();
      if (!client) return reached;
      const auto peer = localOf(client->get());
      for (std::size_t n = 0; n < listeners_.size(); ++n) {
        // The one listener that has something to accept.
        const UniqueFd accepted(accept4(listeners_[n].get(), nullptr, nullptr, SOCK_NONBLOCK));
        if (!accepted.valid()) continue;
        EXPECT_EQ(peerOf(accepted.get()), peer);
        ++reached[n];
      }
    }
    return reached;
  }
  // The listener that a connection to this VIP reaches; -1: none.
  int acceptedFrom(const std::string& vip) {
    nonBlocking();
    const auto reached = spread(vip, 1);
    const auto found = std::find(reached.begin(), reached.end(), 1);
    return found == reached.end() ? -1 : static_cast<int>(found - reached.begin());
  }
  void nonBlocking() {
    for (const auto& listener : listeners_) {
      const int flags = fcntl(listener.get(), F_GETFL);
      fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK);
    }
  }
  bool serves(const std::string& vip) {
    return mesh_->awaitImage([&](const KernelImage& image) {
      return image.services.contains({at(vip), Protocol::kTcp});
    });
  }
  // Programs that hang on this very cgroup.
  static std::uint32_t attachedPrograms(const std::string& cgroup) {
    const UniqueFd fd(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::uint32_t all = 0;
    for (const bpf_attach_type hook : {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
                                       BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_SOCK_OPS}) {
      LIBBPF_OPTS(bpf_prog_query_opts, query);
      EXPECT_EQ(bpf_prog_query_opts(fd.get(), hook, &query), 0);
      all += query.prog_cnt;
    }
    return all;
  }
  static const LbGroup* groupOf(const KernelImage& image, const std::string& vip) {
    const auto found = image.services.find({at(vip), Protocol::kTcp});
    return found == image.services.end() ? nullptr : found->second.service->groups[0].get();
  }
};

TEST_F(Agent, BalancesByWeightsAndFollowsTheFile) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0] + "*3", hosts_[1] + "*1"}));
  start();
  EXPECT_EQ(spread(kVip, 40), (std::vector{30, 10, 0}));
  EXPECT_GT(attachedPrograms(sandbox_->cgroup()), 0U);

  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[1] + "*1", hosts_[2] + "*1"}));
  ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    const LbGroup* group = groupOf(image, kVip);
    return group != nullptr && group->hosts == std::vector{at(hosts_[1]), at(hosts_[2])};
  }));
  EXPECT_EQ(spread(kVip, 40), (std::vector{0, 20, 20}));
}

// Envoy's RANDOM ignores endpoint weights, and so does sockmesh's, unless the configuration says
// otherwise.
TEST_F(Agent, RandomGoesByWeightsWhereTheConfigurationSaysSo) {
  nonBlocking();
  const std::string config = sandbox_->folder() + "/sockmeshd.yaml";
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0] + "*9", hosts_[1] + "*1"},
                                     "  lb_policy: RANDOM\n"));
  mesh_->startControlPlane();
  for (const bool weighted : {false, true}) {
    std::ofstream(config) << "load_balancing: { weighted_random: " << std::boolalpha << weighted
                          << " }\n";
    mesh_->startAgent({"--config", config});
    ASSERT_TRUE(mesh_->agent().awaitLog(weighted ? "0 services added, 1 changed"
                                                 : "1 services added, 0 changed"));
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    // Six standard deviations and more.
    EXPECT_NEAR(spread(kVip, 400)[0], weighted ? 360 : 200, weighted ? 40 : 65) << weighted;
    mesh_->killAgent();
  }
}

TEST_F(Agent, WhatDoesNotFitIsReportedAndTheRestIsServed) {
  const std::string config = sandbox_->folder() + "/sockmeshd.yaml";
  std::ofstream(config) << "datapath: { max_services: 2 }\n";
  const std::vector<std::string> vips = {"10.96.0.1:80", "10.96.0.2:80", "10.96.0.3:80"};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string name = "s" + std::to_string(i);
    mesh_->serve(name + ".yaml", serviceYaml(vips[i], name, {hosts_[i]}));
  }
  mesh_->startControlPlane();
  mesh_->startAgent({"--config", config});
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->agent().awaitLog("all 2 services are in use (datapath.max_services)"));
  EXPECT_TRUE(serves(vips[0]));
  EXPECT_TRUE(serves(vips[1]));
  EXPECT_EQ(acceptedFrom(vips[1]), 1);
  EXPECT_NE(mesh_->get("/metrics").find("\nsockmesh_map_writes_pending 1\n"), std::string::npos);
  // When one service goes, the other service finds room.
  std::filesystem::remove(mesh_->folder() + "/s0.yaml");
  EXPECT_TRUE(serves(vips[2]));
  EXPECT_EQ(acceptedFrom(vips[2]), 2);
}

TEST_F(Agent, EmptyRefusesUnknownAndTlsAreLeftAlone) {
  mesh_->serve("empty.yaml", serviceYaml("10.96.0.2:80", "empty", {}));
  mesh_->serve("tls.yaml", serviceYaml("10.96.0.3:80", "tls", {hosts_[0]}, R"(  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext }
)"));
  // This cluster has no assignment: it has not arrived.
  const std::string whole = serviceYaml("10.96.0.4:80", "unknown", {});
  mesh_->serve(
      "unknown.yaml",
      whole.substr(0, whole.find("- \"@type\": type.googleapis.com/envoy.config.endpoint")));
  start();
  ASSERT_TRUE(serves("10.96.0.2:80") && serves("10.96.0.3:80") && serves("10.96.0.4:80"));
  const auto refused = connectTo(at("10.96.0.2:80"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errnum(), ECONNREFUSED);
  for (const char* vip : {"10.96.0.3:80", "10.96.0.4:80"}) {
    const auto alone = connectTo(at(vip));
    ASSERT_FALSE(alone);
    EXPECT_EQ(alone.error().errnum(), ENETUNREACH) << vip << ": the address itself has no route";
  }
  const auto listed =
      run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "service", "list"});
  EXPECT_EQ(listed.code, 0);
  EXPECT_NE(listed.output.find("LeftAlone"), std::string::npos) << listed.output;
  EXPECT_NE(listed.output.find("Refused"), std::string::npos) << listed.output;
}

// Proof 2, as a process: kill -9 and restart under 2,000 connects a second, 0 failed.
TEST_F(Agent, NoConnectFailsThroughKillAndRestart) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1]}));
  start();
  constexpr int kKills = 12;
  std::atomic<bool> done{false};
  std::vector<std::thread> accepting;
  for (const auto& listener : listeners_) {
    accepting.emplace_back([&] {
      while (!done) {
        pollfd waiting{listener.get(), POLLIN, 0};
        if (poll(&waiting, 1, 50) == 1) acceptOn(listener);
      }
    });
  }
  std::uint64_t connects = 0, failed = 0;
  const auto began = std::chrono::steady_clock::now();
  std::thread connecting([&] {
    // Paced: 2,000 a second.
    for (auto due = began; !done; due += std::chrono::microseconds(500)) {
      std::this_thread::sleep_until(due);
      ++connects;
      if (!connectTo(at(kVip))) ++failed;
    }
  });
  for (int i = 0; i < kKills; ++i) {
    mesh_->killAgent();
    mesh_->startAgent();
    EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  done = true;
  connecting.join();
  for (auto& thread : accepting) thread.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%lu connects at %.0f a second through %d kills: %lu failed\n", connects,
              static_cast<double>(connects) / seconds, kKills, failed);
  EXPECT_EQ(failed, 0u);
  EXPECT_GT(connects, 500u);
  EXPECT_NE(mesh_->agent().log().find("adopted 1 services and 2 endpoints, 0 writes"),
            std::string::npos)
      << mesh_->agent().log();
  EXPECT_NE(mesh_->agent().log().find("maps and programs adopted"), std::string::npos)
      << mesh_->agent().log();
}

TEST_F(Agent, OutlivesItsControlPlaneAndConvergesWhenItIsBack) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  mesh_->stopControlPlane();
  EXPECT_EQ(spread(kVip, 4), (std::vector{4, 0, 0}));
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[1]}));
  mesh_->startControlPlane();
  ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    const LbGroup* group = groupOf(image, kVip);
    return group != nullptr && group->hosts == std::vector{at(hosts_[1])};
  })) << mesh_->agent().log()
      << mesh_->controlPlane().log();
  EXPECT_EQ(spread(kVip, 4), (std::vector{0, 4, 0}));
}

TEST_F(Agent, ABadResourceIsNackedByNameWhileTheOthersAndItsLastGoodStayInForce) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]},
                                     "  outlier_detection: { max_ejection_percent: 101 }\n"));
  mesh_->serve("b.yaml", serviceYaml("10.96.0.9:80", "b", {hosts_[1]}));
  ASSERT_TRUE(mesh_->controlPlane().awaitLog("NACK")) << mesh_->controlPlane().log();
  EXPECT_TRUE(mesh_->controlPlane().awaitLog("max_ejection_percent"))
      << mesh_->controlPlane().log();
  ASSERT_TRUE(serves("10.96.0.9:80")) << "the good one beside it is in force";
  EXPECT_EQ(spread(kVip, 2), (std::vector{2, 0, 0}));
  EXPECT_EQ(spread("10.96.0.9:80", 2), (std::vector{0, 2, 0}));
}

TEST_F(Agent, SigtermLeavesTheDatapathAndCleanupRemovesIt) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  EXPECT_EQ(spread(kVip, 2), (std::vector{2, 0, 0}));
  const auto status = run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "status"});
  EXPECT_EQ(status.code, 0) << status.output;
  const auto cleaned = run({binary("sockmeshd"), "--cleanup", "--bpffs-root", sandbox_->bpffs()});
  EXPECT_EQ(cleaned.code, 0) << cleaned.output;
  EXPECT_FALSE(connectTo(at(kVip)));
  EXPECT_FALSE(std::filesystem::exists(PinPath(sandbox_->bpffs()).folder));
}

TEST_F(Agent, TheDatapathHasOneAgentAtATime) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  const std::string refusal =
      "sockmeshd: another sockmeshd runs on " + sandbox_->bpffs() + ": end that agent first\n";
  auto second = mesh_->agentCommand();
  // The admin address is another, so the address does not keep the agents apart.
  second.insert(second.end(), {"--admin-address", "127.0.0.1:15078", "--admin-socket", "none",
                               "--log-level", "off"});
  const Ran ran = run(second);
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.output, refusal);
  const std::vector<std::string> cleanup = {binary("sockmeshd"), "--cleanup", "--bpffs-root",
                                            sandbox_->bpffs()};
  const Ran refused = run(cleanup);
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.output, refusal);
  EXPECT_EQ(spread(kVip, 2), (std::vector{2, 0, 0}));

  mesh_->killAgent();
  EXPECT_EQ(spread(kVip, 2), (std::vector{2, 0, 0}));
  const Ran cleaned = run(cleanup);
  EXPECT_EQ(cleaned.code, 0) << "the dead hold no lock: " << cleaned.output;
}

TEST_F(Agent, AStaleControlPlaneAddressInTheMapsDoesNotStopTheAgent) {
  // The control plane's own address is a VIP that leads nowhere.
  mesh_->serve("trap.yaml", serviceYaml("127.0.0.1:18000", "trap", {"127.0.0.1:1"}));
  start();
  ASSERT_TRUE(serves("127.0.0.1:18000"));
  EXPECT_FALSE(connectTo(at("127.0.0.1:18000"))) << "everybody else is sent to the endpoint";
  mesh_->killAgent();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startAgent();
  EXPECT_TRUE(serves(kVip)) << mesh_->agent().log();
}

// The maps of a first agent are filled while its programs are loaded. They go with an agent that
// ends before anything is attached, or that cannot attach.
TEST_F(Agent, AFirstAgentThatEndsWhileItsProgramsAreLoadedLeavesNothing) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  const std::string pins = PinPath(sandbox_->bpffs()).maps();
  mesh_->startAgent();
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(pins + "/names"); }));
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  const bool attached = mesh_->agent().log().find(" attached to ") != std::string::npos;
  EXPECT_EQ(std::filesystem::exists(pins), attached) << mesh_->agent().log();
  EXPECT_EQ(attachedPrograms(sandbox_->cgroup()) > 0, attached);
}

TEST_F(Agent, TheFirstConnectionAfterAttachingIsBalanced) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->agent().awaitLog("1 services added")) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->agent().awaitLog(" attached to ")) << mesh_->agent().log();
  EXPECT_TRUE(connectTo(at(kVip)));
}

// An older version's pins are elsewhere: an agent names them, and --cleanup also removes them.
TEST_F(Agent, PinsOfAnotherVersionAreNamedAndCleanedUp) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  const std::string older = sandbox_->bpffs() + "/sockmesh-v1";
  std::filesystem::rename(PinPath(sandbox_->bpffs()).folder, older);
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_NE(mesh_->agent().log().find(older + " holds programs of another version"),
            std::string::npos);
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  const auto cleaned = run({binary("sockmeshd"), "--cleanup", "--bpffs-root", sandbox_->bpffs()});
  EXPECT_EQ(cleaned.code, 0) << cleaned.output;
  EXPECT_FALSE(std::filesystem::exists(older));
  EXPECT_EQ(attachedPrograms(sandbox_->cgroup()), 0U);
  EXPECT_FALSE(connectTo(at(kVip)));
}

// Trouble: one clear line, a non-zero exit, nothing half attached.
TEST_F(Agent, TroubleIsOneClearLine) {
  const auto fails = [&](const std::vector<std::string>& flags, const std::string& expected) {
    auto command = mesh_->agentCommand();
    command.insert(command.end(), flags.begin(), flags.end());
    const Ran ran = run(command);
    EXPECT_NE(ran.code, 0) << expected;
    EXPECT_NE(ran.output.find(expected), std::string::npos) << ran.output;
    EXPECT_FALSE(std::filesystem::exists(PinPath(sandbox_->bpffs()).folder)) << expected;
  };
  fails({"--cgroup-root", "/proc"}, "not a cgroup v2 directory");
  fails({"--admin-address", "nonsense"}, "admin.address");
  fails({"--config", "/nonexistent.yaml"}, "/nonexistent.yaml");
  const std::string config = sandbox_->folder() + "/bad.yaml";
  std::ofstream(config) << "datapath: { max_services: 0 }\nads: { adress: x }\n";
  fails({"--config", config}, "adress");
  std::ofstream(config) << "datapath: { max_services: 0 }\n";
  fails({"--config", config}, "datapath.max_services");
  SocketAddress taken = at("127.0.0.1:0");
  const auto holder = std::move(listenOn(taken)).value();
  fails({"--admin-address", taken.toString()}, taken.toString());
  EXPECT_EQ(run({binary("sockmeshd"), "--no-such-flag"}).code, 64);
}

// A kernel without BTF, as the agent sees it: the place of the kernel's own BTF is empty.
TEST_F(Agent, AKernelWithoutBtfIsRefusedWithOneLine) {
  ASSERT_EQ(mount("none", "/sys/kernel/btf", "tmpfs", MS_RDONLY, nullptr), 0);
  auto command = mesh_->agentCommand();
  command.insert(command.end(), {"--log-level", "off"});
  const Ran ran = run(command);
  umount("/sys/kernel/btf");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.output,
            "sockmeshd: this kernel has no BTF (/sys/kernel/btf/vmlinux); it needs "
            "CONFIG_DEBUG_INFO_BTF\n");
  EXPECT_FALSE(std::filesystem::exists(PinPath(sandbox_->bpffs()).folder)) << "something is pinned";
  EXPECT_EQ(attachedPrograms(sandbox_->cgroup()), 0U);
}

TEST_F(Agent, WithoutAControlPlaneItWaitsAndSaysSo) {
  mesh_->startAgent();
  ASSERT_TRUE(eventually([&] { return mesh_->statusOf("/healthz") == 200; }));
  EXPECT_EQ(mesh_->statusOf("/readyz"), 503);
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/readyz").find("no connection to the control plane 127.0.0.1:18000") !=
           std::string::npos;
  })) << mesh_->get("/readyz");
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
}

TEST_F(Agent, MetricsCountWhatHappened) {
  nonBlocking();
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], "127.0.1.99:1"}));
  start();
  int refused = 0;
  for (int i = 0; i < 10; ++i) refused += connectTo(at(kVip)) ? 0 : 1;
  EXPECT_EQ(refused, 5);
  const std::string metrics = mesh_->get("/metrics");
  const auto has = [&](const std::string& line) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line << "\n" << metrics;
  };
  has("sockmesh_connections_established_total{cluster=\"a\"} 5");
  has("sockmesh_connections_failed_total{cluster=\"a\",reason=\"refused\"} 5");
  has("sockmesh_xds_connected 1");
}

// The series is there before it counts, so that rate() sees the first refusal.
TEST_F(Agent, MetricsHaveRefusalsBeforeTheFirst) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  start();
  ASSERT_TRUE(connectTo(at(kVip)));
  const auto refusals = [&] {
    const std::string metrics = mesh_->get("/metrics");
    const std::string series =
        "sockmesh_connections_refused_total{cluster=\"a\",reason=\"no_endpoints\"} ";
    const auto found = metrics.find(series);
    return found == std::string::npos ? "none" : metrics.substr(found + series.size(), 2);
  };
  EXPECT_EQ(refusals(), "0\n");
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {}));
  ASSERT_TRUE(eventually([] { return !connectTo(at(kVip)); }));
  EXPECT_EQ(refusals(), "1\n");
}

}  // namespace
}  // namespace sockmesh::test
