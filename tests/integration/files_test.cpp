// SPDX-License-Identifier: Apache-2.0
// An agent whose services come from its configuration and from files, with a control plane and
// without.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;

class LocalResources : public MeshTest {
 protected:
  std::string path(const std::string& name) const { return sandbox_->folder() + "/" + name; }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path(".new")) << text;
    std::filesystem::rename(path(".new"), path(name));
  }
  // All of a service in one document: its parts go to the files that they belong to.
  static std::string listener(const std::string& vip, const std::string& cluster) {
    const SocketAddress address = at(vip);
    return "{name: " + cluster + ", address: {socket_address: {address: '" + address.ip.toString() +
           "', port_value: " + std::to_string(address.port) +
           "}}, filter_chains: [{filters: [{name: tcp, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
           "stat_prefix: s, cluster: " +
           cluster + "}}]}]}";
  }
  static std::string endpoints(const std::string& cluster, const std::string& host) {
    const SocketAddress address = at(host);
    return "{cluster_name: " + cluster +
           ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: '" +
           address.ip.toString() + "', port_value: " + std::to_string(address.port) + "}}}}]}]}";
  }
  static std::string typed(const std::string& type, const std::string& resource) {
    return "resources: [{\"@type\": type.googleapis.com/" + type + ", " + resource.substr(1) +
           "]\n";
  }
  void putEndpoints(const std::string& host) const {
    put("eds.yaml",
        typed("envoy.config.endpoint.v3.ClusterLoadAssignment", endpoints("file", host)));
  }
  // A static service at kVip, and one at 10.96.0.2:80 whose parts are files.
  std::string config() const {
    put("cds.yaml", typed("envoy.config.cluster.v3.Cluster",
                          "{name: file, type: EDS, eds_cluster_config: {eds_config: "
                          "{path_config_source: {path: '" +
                              path("eds.yaml") + "'}}}}"));
    put("lds.yaml", typed("envoy.config.listener.v3.Listener", listener("10.96.0.2:80", "file")));
    putEndpoints(hosts_[1]);
    return "local_resources:\n  clusters: [{name: fixed, type: STATIC, load_assignment: " +
           endpoints("fixed", hosts_[0]) + "}]\n  listeners: [" + listener(kVip, "fixed") +
           "]\n  clusters_file: {path: " + path("cds.yaml") +
           "}\n  listeners_file: {path: " + path("lds.yaml") + "}\n";
  }
  bool leads(const std::string& vip, std::size_t host) {
    return eventually(
        [&] {
          if (!connectTo(at(vip))) return false;
          const UniqueFd got(accept4(listeners_[host].get(), nullptr, nullptr, SOCK_NONBLOCK));
          return got.valid();
        },
        std::chrono::seconds(20));
  }
  void SetUp() override {
    MeshTest::SetUp();
    for (const UniqueFd& listener : listeners_) {
      fcntl(listener.get(), F_SETFL, fcntl(listener.get(), F_GETFL) | O_NONBLOCK);
    }
  }
};

TEST_F(LocalResources, ServeWithoutAControlPlaneAndFollowTheirFiles) {
  // An address in the flags would win over the configuration, so it is empty.
  auto flags = mesh_->agentConfig(config());
  flags.insert(flags.end(), {"--xds-address", ""});
  mesh_->startAgent(flags);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(leads(kVip, 0)) << mesh_->agent().log();
  EXPECT_TRUE(leads("10.96.0.2:80", 1));

  putEndpoints(hosts_[2]);
  EXPECT_TRUE(leads("10.96.0.2:80", 2)) << mesh_->agent().log();

  put("eds.yaml", "resources: [{nonsense: 1}]\n");
  EXPECT_TRUE(mesh_->agent().awaitLog("eds.yaml: line 1"));
  EXPECT_TRUE(leads("10.96.0.2:80", 2)) << "the last good endpoints stay";
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/metrics").find("sockmesh_xds_rejected_files 1") != std::string::npos;
  }));
  EXPECT_THAT(mesh_->get("/status"), HasSubstr(path("eds.yaml")));
}

TEST_F(LocalResources, AreServedBesideTheControlPlanes) {
  mesh_->serve("a.yaml", serviceYaml("10.96.0.3:80", "a", {hosts_[2]}));
  mesh_->startControlPlane();
  mesh_->startAgent(mesh_->agentConfig(config()));
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(leads(kVip, 0));
  EXPECT_TRUE(leads("10.96.0.2:80", 1)) << mesh_->agent().log();
  EXPECT_TRUE(leads("10.96.0.3:80", 2));
  // A name that the configuration has is refused, and nothing else.
  mesh_->serve("b.yaml", serviceYaml("10.96.0.4:80", "fixed", {hosts_[1]}));
  mesh_->serve("c.yaml", serviceYaml("10.96.0.5:80", "c", {hosts_[1]}));
  EXPECT_TRUE(mesh_->agent().awaitLog("fixed: is already in local_resources"));
  EXPECT_TRUE(leads("10.96.0.5:80", 1));
  EXPECT_TRUE(leads(kVip, 0));
}

// The route configuration of a listener is a file of its own.
TEST_F(LocalResources, RoutesComeFromAFileAndFollowIt) {
  const auto fixed = [this](const std::string& name, std::size_t host) {
    return "{name: " + name + ", type: STATIC, load_assignment: " + endpoints(name, hosts_[host]) +
           "}";
  };
  const auto putRoutes = [this](const std::string& cluster) {
    put("rds.yaml",
        typed("envoy.config.route.v3.RouteConfiguration",
              "{name: routes, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: "
              "{prefix: /}, route: {cluster: " +
                  cluster + "}}]}]}"));
  };
  putRoutes("one");
  auto flags = mesh_->agentConfig(
      "local_resources:\n  clusters: [" + fixed("one", 0) + ", " + fixed("two", 1) +
      "]\n  listeners: [{name: http, address: {socket_address: {address: 10.96.0.1, port_value: "
      "80}}, filter_chains: [{filters: [{name: http, typed_config: {\"@type\": "
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
      "HttpConnectionManager, stat_prefix: s, rds: {route_config_name: routes, config_source: "
      "{path_config_source: {path: '" +
      path("rds.yaml") + "'}}}}}]}]}]\n");
  flags.insert(flags.end(), {"--xds-address", ""});
  mesh_->startAgent(flags);
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(leads(kVip, 0)) << mesh_->agent().log();
  putRoutes("two");
  EXPECT_TRUE(leads(kVip, 1)) << mesh_->agent().log();
  put("rds.yaml", "resources: [{nonsense: 1}]\n");
  EXPECT_TRUE(mesh_->agent().awaitLog("rds.yaml: line 1"));
  EXPECT_TRUE(leads(kVip, 1)) << "the last good routes stay";
}

TEST_F(LocalResources, AnAgentDoesNotStartWithABadResource) {
  auto command = mesh_->agentCommand();
  const auto flags = mesh_->agentConfig("local_resources: {clusters: [{name: a, type: EDS}]}\n");
  command.insert(command.end(), flags.begin(), flags.end());
  const Ran ran = run(command);
  EXPECT_NE(ran.code, 0);
  EXPECT_THAT(ran.output,
              HasSubstr("local_resources.clusters[0]: eds_cluster_config: is required"));
}

}  // namespace
}  // namespace sockmesh::test
