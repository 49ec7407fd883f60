// SPDX-License-Identifier: Apache-2.0
// UDP with a running agent: udp_proxy listeners, and services that the configuration names.
#include <sys/socket.h>

#include <fstream>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

constexpr const char* kDns = "10.96.0.10:53";

std::string udpProxyYaml(const std::string& vip, const std::string& cluster) {
  const SocketAddress address = at(vip);
  return R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: udp-listener
  address: {socket_address: {protocol: UDP, address: ")" +
         address.ip.toString() + "\", port_value: " + std::to_string(address.port) + R"(}}
  listener_filters:
  - name: udp
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig
      stat_prefix: s
      cluster: )" +
         cluster + "\n";
}

class UdpMesh : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    for (int i = 1; i <= 2; ++i) {
      SocketAddress address = at("127.0.2." + std::to_string(i) + ":" + std::to_string(port_));
      servers_.push_back(std::move(udpServer(address)).value());
      port_ = address.port;  // the same for all
      backends_.push_back(address);
    }
  }
  void configure(const std::string& yaml) {
    const std::string file = sandbox_->folder() + "/agent.yaml";
    std::ofstream(file) << yaml;
    mesh_->startControlPlane();
    mesh_->startAgent({"--config", file});
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  bool serves(const std::string& vip) {
    return mesh_->awaitImage([&](const KernelImage& image) {
      return image.services.contains({at(vip), Protocol::kUdp});
    });
  }
  // Of four sockets that send to the VIP: who got how many. Each answer shows the VIP.
  std::vector<int> spread(const std::string& vip) {
    std::vector<int> reached(servers_.size());
    for (int i = 0; i < 4; ++i) {
      const UniqueFd client = udpSocket();
      EXPECT_EQ(sendErrno(client.get(), "who", at(vip)), 0);
      pollAndAnswer(reached);
      EXPECT_EQ(receive(client.get()).from, at(vip));
    }
    return reached;
  }
  void pollAndAnswer(std::vector<int>& reached) {
    const bool came = eventually([&] {
      for (std::size_t n = 0; n < servers_.size(); ++n) {
        char byte = 0;
        if (recv(servers_[n].get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) continue;
        ++reached[n];
        return sendErrno(servers_[n].get(), "me", receive(servers_[n].get()).from) == 0;
      }
      return false;
    });
    EXPECT_TRUE(came);
  }

  std::uint16_t port_ = 0;
  std::vector<UniqueFd> servers_;
  std::vector<SocketAddress> backends_;
};

TEST_F(UdpMesh, AUdpProxyIsBalanced) {
  mesh_->serve("a.yaml",
               serviceYaml(kVip, "a", {backends_[0].toString(), backends_[1].toString()}));
  mesh_->serve("udp.yaml", udpProxyYaml(kDns, "a"));
  configure("");
  ASSERT_TRUE(serves(kDns)) << mesh_->agent().log();
  EXPECT_EQ(spread(kDns), (std::vector{2, 2}));
}

// Cluster DNS has a TCP port beside, which istiod sends. Here the TCP endpoints have another port.
TEST_F(UdpMesh, AServiceOfTheConfigurationTakesTheEndpointsOfItsCluster) {
  mesh_->serve("dns.yaml", serviceYaml(kDns, "dns", {"127.0.2.1:1", "127.0.2.2:1"}));
  configure("udp_services: [{vip: '10.96.0.10:53', cluster: dns, port: " + std::to_string(port_) +
            "}, {vip: '10.96.0.11:53', cluster: absent}]");
  ASSERT_TRUE(serves(kDns)) << mesh_->agent().log();
  EXPECT_EQ(spread(kDns), (std::vector{2, 2}));
  EXPECT_NE(mesh_->get("/status").find("the control plane has no cluster absent"),
            std::string::npos);
  EXPECT_NE(mesh_->get("/metrics").find(R"(sockmesh_udp_flows_total{event="created"} 4)"),
            std::string::npos);

  // The endpoints change with the cluster.
  mesh_->serve("dns.yaml", serviceYaml(kDns, "dns", {"127.0.2.2:1"}));
  ASSERT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    const auto found = image.services.find({at(kDns), Protocol::kUdp});
    return found != image.services.end() &&
           found->second.service->groups[0]->hosts == std::vector{backends_[1]};
  }));
  EXPECT_EQ(spread(kDns), (std::vector{0, 4}));
}

TEST_F(UdpMesh, FlowsAndServicesOutliveTheAgent) {
  mesh_->serve("dns.yaml", serviceYaml(kDns, "dns", {"127.0.2.1:1", "127.0.2.2:1"}));
  configure("udp_services: [{vip: '10.96.0.10:53', cluster: dns, port: " + std::to_string(port_) +
            "}]");
  ASSERT_TRUE(serves(kDns));
  const UniqueFd client = udpSocket();
  std::vector<int> first(2);
  ASSERT_EQ(sendErrno(client.get(), "1", at(kDns)), 0);
  pollAndAnswer(first);
  EXPECT_EQ(receive(client.get()).from, at(kDns));

  mesh_->killAgent();
  std::vector<int> second(2);
  ASSERT_EQ(sendErrno(client.get(), "2", at(kDns)), 0);
  pollAndAnswer(second);
  EXPECT_EQ(second, first);
  EXPECT_EQ(receive(client.get()).from, at(kDns));

  mesh_->startAgent({"--config", sandbox_->folder() + "/agent.yaml"});
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  std::vector<int> third(2);
  ASSERT_EQ(sendErrno(client.get(), "3", at(kDns)), 0);
  pollAndAnswer(third);
  EXPECT_EQ(third, first);
  EXPECT_EQ(receive(client.get()).from, at(kDns));
}

}  // namespace
}  // namespace sockmesh::test
