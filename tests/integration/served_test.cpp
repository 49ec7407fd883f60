// SPDX-License-Identifier: Apache-2.0
// Pods that a running agent leaves alone, as they come and go, through restarts and its death. The
// VIP has a listener of its own, as kube-proxy would give it one.
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "integration/mesh_test.h"
#include "support/pod.h"

namespace sockmesh::test {
namespace {

class ServedMesh : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_TRUE(addAddress("10.96.8.1"));
    ASSERT_TRUE(addAddress("10.97.8.1"));
    original_ = std::move(listenOn(vip_)).value();
    backend_ = std::move(listenOn(host_)).value();
    netns_ = sandbox_->folder() + "/netns";
    ASSERT_EQ(mkdir(netns_.c_str(), 0755), 0);
    mesh_->serve("web.yaml", serviceYaml(vip_.toString(), "web", {host_.toString()}));
    mesh_->startControlPlane();
  }
  void TearDown() override {
    mesh_.reset();
    pods_.clear();
    for (const std::string& path : mounted_) umount2(path.c_str(), MNT_DETACH);
    for (auto it = cgroups_.rbegin(); it != cgroups_.rend(); ++it) removeCgroup(*it);
  }

  // `served` is the value of the field. Waits until the service is there.
  void run(const std::string& served) {
    mesh_->startAgent(mesh_->agentConfig("served: " + served + "\n"));
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
      return image.services.contains({vip_, Protocol::kTcp});
    }));
  }
  Pod& makePod() {
    auto pod = Pod::create(static_cast<int>(pods_.size()) + 1);
    EXPECT_TRUE(pod) << pod.error().message();
    pods_.push_back(std::move(pod).value());
    return *pods_.back();
  }
  std::string wentTo(Pod& pod) {
    if (const int error = pod.connect(vip_)) return std::strerror(error);
    std::array<pollfd, 2> waiting = {{{original_.get(), POLLIN, 0}, {backend_.get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), 5000) != 1) return "both or none";
    const bool left = waiting[0].revents != 0;
    acceptOn(left ? original_ : backend_);
    return left ? "left alone" : "balanced";
  }
  bool becomes(Pod& pod, const std::string& expected) {
    return eventually([&] { return wentTo(pod) == expected; }, std::chrono::seconds(20));
  }

  // As a network plug-in does.
  void name(const Pod& pod, const std::string& name) {
    const std::string path = netns_ + "/" + name;
    std::ofstream(path).flush();
    const std::string from = "/proc/" + std::to_string(pod.pid()) + "/ns/net";
    ASSERT_EQ(mount(from.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0);
    mounted_.push_back(path);
  }
  void unname(const std::string& name) {
    const std::string path = netns_ + "/" + name;
    ASSERT_EQ(umount(path.c_str()), 0);
    ASSERT_EQ(unlink(path.c_str()), 0);
  }
  // As a container runtime does. `path` is below the sandbox's cgroup.
  void makeCgroup(const std::string& path) {
    cgroups_.push_back(sandbox_->cgroup() + path);
    ASSERT_EQ(mkdir(cgroups_.back().c_str(), 0755), 0) << path;
  }
  static void removeCgroup(const std::string& path) {
    eventually([&] { return rmdir(path.c_str()) == 0 || errno != EBUSY; }, std::chrono::seconds(2));
  }
  void move(const Pod& pod, const std::string& cgroup) {
    std::ofstream(sandbox_->cgroup() + cgroup + "/cgroup.procs") << pod.pid();
  }

  SocketAddress vip_ = at("10.96.8.1:0");
  SocketAddress host_ = at("10.97.8.1:0");
  UniqueFd original_;
  UniqueFd backend_;
  std::string netns_;  // a folder as /run/netns
  std::vector<std::unique_ptr<Pod>> pods_;
  std::vector<std::string> mounted_;
  std::vector<std::string> cgroups_;
};

TEST_F(ServedMesh, TheWholeNodeByDefault) {
  Pod& pod = makePod();
  makeCgroup("/pods");
  move(pod, "/pods");
  run("{}");
  EXPECT_EQ(wentTo(pod), "balanced");
}

TEST_F(ServedMesh, NamespacesComeAndGo) {
  Pod &out = makePod(), &other = makePod();
  name(other, "other");
  run("{leave_out: [{netns: '" + netns_ + "/out-*'}]}");
  EXPECT_EQ(wentTo(out), "balanced");
  name(out, "out-1");
  EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
  EXPECT_EQ(wentTo(other), "balanced");
  unname("out-1");
  EXPECT_TRUE(becomes(out, "balanced")) << mesh_->agent().log();
}

TEST_F(ServedMesh, CgroupsComeAndGo) {
  Pod &out = makePod(), &other = makePod();
  makeCgroup("/kubepods");
  run("{leave_out: [{cgroup: '/kubepods/*/pod-out*'}]}");
  for (const char* qos : {"/kubepods/burstable", "/kubepods/besteffort"}) {
    const std::string folder = qos;
    makeCgroup(folder);
    makeCgroup(folder + "/pod-out-1");
    makeCgroup(folder + "/pod-out-1/container");
    makeCgroup(folder + "/pod-other");
    move(out, folder + "/pod-out-1/container");
    move(other, folder + "/pod-other");
    EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
    EXPECT_EQ(wentTo(other), "balanced");
  }
  move(out, "/kubepods");
  EXPECT_EQ(wentTo(out), "balanced");
  // The same path again is another cgroup.
  removeCgroup(sandbox_->cgroup() + "/kubepods/burstable/pod-out-1/container");
  removeCgroup(sandbox_->cgroup() + "/kubepods/burstable/pod-out-1");
  ASSERT_EQ(mkdir((sandbox_->cgroup() + "/kubepods/burstable/pod-out-1").c_str(), 0755), 0);
  move(out, "/kubepods/burstable/pod-out-1");
  EXPECT_TRUE(becomes(out, "left alone")) << mesh_->agent().log();
}

TEST_F(ServedMesh, StaysLeftOutWhileTheAgentIsDeadAndWhenItReturns) {
  Pod &byNetns = makePod(), &byCgroup = makePod(), &other = makePod();
  name(byNetns, "out");
  makeCgroup("/out");
  move(byCgroup, "/out");
  const std::string served = "{leave_out: [{netns: '" + netns_ + "/out'}, {cgroup: '/out'}]}";
  run(served);
  const auto holds = [&] {
    return wentTo(byNetns) == "left alone" && wentTo(byCgroup) == "left alone" &&
           wentTo(other) == "balanced";
  };
  EXPECT_TRUE(holds());
  mesh_->killAgent();
  EXPECT_TRUE(holds());
  mesh_->startAgent(mesh_->agentConfig("served: " + served + "\n"));
  int connects = 0;
  while (mesh_->statusOf("/readyz") != 200 && connects < 1000) {
    ASSERT_TRUE(holds()) << connects;
    ++connects;
  }
  EXPECT_TRUE(holds()) << mesh_->agent().log();
}

TEST_F(ServedMesh, AnotherConfigurationTakesEffectWithTheNextAgent) {
  Pod &first = makePod(), &second = makePod();
  name(first, "first");
  name(second, "second");
  run("{leave_out: [{netns: '" + netns_ + "/first'}]}");
  EXPECT_EQ(wentTo(first), "left alone");
  mesh_->killAgent();
  run("{by_default: NONE, let_in: [{netns: '" + netns_ + "/*'}], leave_out: [{netns: '" + netns_ +
      "/second'}]}");
  EXPECT_EQ(wentTo(first), "balanced");
  EXPECT_EQ(wentTo(second), "left alone") << "what leaves out wins";
  EXPECT_EQ(wentTo(makePod()), "left alone");
  mesh_->killAgent();
  run("{}");
  EXPECT_EQ(wentTo(first), "balanced");
  EXPECT_EQ(wentTo(second), "balanced");
}

TEST_F(ServedMesh, APodWithASidecarIsLeftAloneAndNamed) {
  Pod &pod = makePod(), &other = makePod();
  std::vector<UniqueFd> sidecar;
  for (const char* address : {"0.0.0.0:15001", "0.0.0.0:15006"}) {
    sidecar.push_back(pod.socketInside(AF_INET, SOCK_STREAM));
    ASSERT_EQ(bindErrno(sidecar.back().get(), at(address)), 0);
    ASSERT_EQ(listen(sidecar.back().get(), 8), 0);
  }
  run("{}");
  EXPECT_EQ(wentTo(pod), "left alone");
  EXPECT_EQ(wentTo(other), "balanced");
  EXPECT_NE(mesh_->get("/metrics").find("sockmesh_left_alone_pods{reason=\"sidecar\"} 1"),
            std::string::npos);
  const Ran status = sockmesh::test::run({binary("sockmeshctl"), "status", "--bpffs-root",
                                          sandbox_->bpffs(), "--admin-address", "127.0.0.1:1"});
  EXPECT_NE(status.output.find("Pods left alone: 1 that connected to a VIP"), std::string::npos)
      << status.output;
  EXPECT_NE(status.output.find(sandbox_->cgroup()), std::string::npos) << status.output;
  mesh_->killAgent();
  run("{serve_sidecars: true}");
  EXPECT_EQ(wentTo(pod), "balanced");
}

}  // namespace
}  // namespace sockmesh::test
