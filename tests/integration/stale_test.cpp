// SPDX-License-Identifier: Apache-2.0
// How long configuration is trusted without the control plane, and how an agent finds a control
// plane that moved.
#include <gmock/gmock.h>
#include <poll.h>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;

// The VIP is an address of this machine, too, where kube-proxy would send connections.
class StaleAfter : public MeshTest {
 protected:
  enum class Way { kNone, kSockmesh, kKubeProxy };

  void SetUp() override {
    MeshTest::SetUp();
    kubeProxy_ = std::move(listenOn(vip_)).value();
    mesh_->serve("a.yaml", serviceYaml(vip_.toString(), "a", {hosts_[0]}));
    mesh_->startControlPlane();
    startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(goes(Way::kSockmesh));
  }
  void startAgent() { mesh_->startAgent(mesh_->agentConfig("ads: {stale_after: 1s}")); }

  // Where one connection to the VIP goes.
  Way way() {
    const auto client = connectTo(vip_);
    if (!client) return Way::kNone;
    pollfd waiting[] = {{listeners_[0].get(), POLLIN, 0}, {kubeProxy_.get(), POLLIN, 0}};
    if (poll(waiting, 2, 10000) < 1) return Way::kNone;
    const bool ours = waiting[0].revents != 0;
    acceptOn(ours ? listeners_[0] : kubeProxy_);
    return ours ? Way::kSockmesh : Way::kKubeProxy;
  }
  bool goes(Way expected) {
    return eventually([&] { return way() == expected; }, std::chrono::seconds(20));
  }

  SocketAddress vip_ = at("127.0.9.1:0");
  UniqueFd kubeProxy_;
};

TEST_F(StaleAfter, WithTheAgentDeadConnectsGoToKubeProxyUntilAnotherAgentIsThere) {
  mesh_->killAgent();
  EXPECT_TRUE(goes(Way::kKubeProxy));
  startAgent();
  EXPECT_TRUE(goes(Way::kSockmesh)) << mesh_->agent().log();
}

TEST_F(StaleAfter, WithoutAStreamConnectsGoToKubeProxyUntilItIsBack) {
  mesh_->stopControlPlane();
  EXPECT_TRUE(goes(Way::kKubeProxy));
  EXPECT_TRUE(mesh_->agent().awaitLog("services are left alone"));
  EXPECT_EQ(mesh_->statusOf("/readyz"), 503);
  EXPECT_THAT(mesh_->get("/readyz"), HasSubstr("services are left alone"));
  EXPECT_THAT(mesh_->get("/metrics"), HasSubstr("sockmesh_services_stale 1"));
  mesh_->startControlPlane();
  EXPECT_TRUE(goes(Way::kSockmesh)) << mesh_->agent().log();
  EXPECT_TRUE(mesh_->ready());
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/metrics").find("sockmesh_services_stale 0") != std::string::npos;
  }));
}

TEST_F(StaleAfter, AnAgentWithoutTheSettingServesForEver) {
  mesh_->killAgent();
  ASSERT_TRUE(goes(Way::kKubeProxy));
  mesh_->stopControlPlane();
  mesh_->startAgent();
  EXPECT_TRUE(goes(Way::kSockmesh)) << "what is pinned counts again";
}

// All addresses of the control plane are VIPs, whose endpoints are in the maps. While the agent is
// down, the control plane moves: the endpoints in the maps are gone.
TEST_F(MeshTest, AControlPlaneThatMovedWhileTheAgentWasDownIsFound) {
  const std::string first = "127.0.8.1:18000", second = "127.0.8.2:18000";
  const std::string before = "127.0.8.9:18000";
  const auto serve = [&](const std::string& endpoint) {
    mesh_->serve("one.yaml", serviceYaml(first, "one", {endpoint}));
    mesh_->serve("two.yaml", serviceYaml(second, "two", {endpoint}));
  };
  const auto controlPlane = [&](const std::string& address) {
    return std::make_unique<Process>(
        std::vector<std::string>{binary("sockmesh-xds"), "--listen", address, mesh_->folder()},
        sandbox_->folder() + "/moving.log");
  };
  const auto startAgent = [&] {
    auto flags = mesh_->agentConfig("ads: {fallback_addresses: ['" + second + "']}");
    flags.insert(flags.end(), {"--xds-address", first});
    mesh_->startAgent(flags);
    EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  };
  serve(before);
  auto server = controlPlane(first);
  startAgent();
  ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    return image.services.contains({at(first), Protocol::kTcp}) &&
           image.services.contains({at(second), Protocol::kTcp});
  }));
  mesh_->killAgent();
  server.reset();
  EXPECT_FALSE(connectTo(at(second))) << "the maps have what is gone";

  serve(second);
  server = controlPlane(second);
  startAgent();
  EXPECT_TRUE(eventually([&] { return connectTo(at(first)).ok() && connectTo(at(second)).ok(); },
                         std::chrono::seconds(20)))
      << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
