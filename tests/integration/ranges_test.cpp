// SPDX-License-Identifier: Apache-2.0
// A ServiceEntry with a range of addresses, as istiod sends it: from the control plane to the
// sockets and to what the CLI says.
#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

std::string clusterYaml(const std::string& name, const std::string& host) {
  const SocketAddress address = at(host);
  return "- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: " + name +
         "\n  type: STATIC\n  connect_timeout: 1s\n  load_assignment:\n    cluster_name: " + name +
         "\n    endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "
         "\"" +
         address.ip.toString() + "\", port_value: " + std::to_string(address.port) +
         " } } } }] }]\n";
}

// A filter chain for a range.
std::string chainYaml(const std::string& prefix, int length, const std::string& cluster) {
  return R"(  - filter_chain_match: { prefix_ranges: [{ address_prefix: ")" + prefix +
         R"(", prefix_len: )" + std::to_string(length) + R"( }] }
    filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: s
        cluster: )" +
         cluster + "\n";
}

class RangesOfServices : public MeshTest {
 protected:
  void serve(const std::string& chains) {
    mesh_->serve("all.yaml", "resources:\n" + clusterYaml("a", hosts_[0]) +
                                 clusterYaml("b", hosts_[1]) +
                                 R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: "0.0.0.0_9000"
  address: { socket_address: { address: 0.0.0.0, port_value: 9000 } }
  filter_chains:
)" + chains);
  }
  bool serves(std::size_t services) {
    return mesh_->awaitImage(
        [&](const KernelImage& image) { return image.services.size() == services; });
  }
  Ran ctl(std::vector<std::string> words) const {
    std::vector<std::string> command = {binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(),
                                        "--admin-socket", mesh_->adminSocket()};
    command.insert(command.end(), words.begin(), words.end());
    return run(command);
  }
  void expectLeadsTo(const std::string& address, std::size_t backend) {
    const auto client = connectTo(at(address));
    ASSERT_TRUE(client) << address << ": " << client.error().message();
    EXPECT_EQ(acceptedAt(listeners_[backend]), at(hosts_[backend])) << address;
    EXPECT_EQ(peerOf(client->get()), at(address));
  }
};

TEST_F(RangesOfServices, LeadWhereTheLongestPrefixSays) {
  serve(chainYaml("127.16.0.0", 16, "a") + chainYaml("127.16.2.0", 24, "b") +
        chainYaml("127.16.3.0", 24, "PassthroughCluster"));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(serves(3)) << mesh_->agent().log();
  expectLeadsTo("127.16.9.9:9000", 0);
  expectLeadsTo("127.16.2.9:9000", 1);
  EXPECT_FALSE(connectTo(at("127.16.3.1:9000"))) << "nobody listens there";

  const Ran explained = ctl({"explain", "127.16.2.9:9000"});
  EXPECT_EQ(explained.code, 0) << explained.output;
  EXPECT_NE(explained.output.find("127.16.2.0/24:9000 is rewritten to one endpoint"),
            std::string::npos)
      << explained.output;
  const Ran got = ctl({"service", "get", "127.16.9.9:9000", "-o", "json"});
  EXPECT_NE(got.output.find("\"127.16.0.0/16\""), std::string::npos) << got.output;
  const Ran routes = ctl({"route", "list", "--vip", "127.16.9.9"});
  EXPECT_NE(routes.output.find("127.16.0.0/16:9000"), std::string::npos) << routes.output;
  EXPECT_EQ(routes.output.find("127.16.2.0/24:9000"), std::string::npos) << routes.output;
  const Ran hole = ctl({"explain", "127.16.3.1:9000"});
  EXPECT_NE(hole.output.find("left alone"), std::string::npos) << hole.output;
  EXPECT_EQ(ctl({"verify"}).code, 0) << ctl({"verify"}).output;
}

TEST_F(RangesOfServices, StayWhileTheAgentStartsAgain) {
  serve(chainYaml("127.16.0.0", 16, "a"));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready() && serves(1)) << mesh_->agent().log();
  const auto client = connectTo(at("127.16.9.9:9000"));
  ASSERT_TRUE(client);
  mesh_->killAgent();
  expectLeadsTo("127.16.9.8:9000", 0);
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_EQ(peerOf(client->get()), at("127.16.9.9:9000"));
  EXPECT_EQ(ctl({"verify"}).code, 0);
}

}  // namespace
}  // namespace sockmesh::test
