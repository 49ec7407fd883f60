// SPDX-License-Identifier: Apache-2.0
// Fixture: a mesh whose VIP has a listener of its own, as kube-proxy would give it one, and pods
// whose cgroups and network namespaces come and go.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "integration/mesh_test.h"
#include "support/pod.h"

namespace sockmesh::test {

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

}  // namespace sockmesh::test
