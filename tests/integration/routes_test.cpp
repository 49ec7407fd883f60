// SPDX-License-Identifier: Apache-2.0
// HTTP services as istiod describes them: a wildcard listener, and VIPs in the domains of a route
// configuration. With real sockets.
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

std::string backendYaml(const std::string& cluster, const std::string& host) {
  const SocketAddress address = at(host);
  return "- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: " + cluster +
         "\n  type: EDS\n  connect_timeout: 1s\n  eds_cluster_config: { eds_config: { ads: {} } }\n"
         "- \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n"
         "  cluster_name: " +
         cluster +
         "\n  endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: \"" +
         address.ip.toString() + "\", port_value: " + std::to_string(address.port) +
         " } } } }] }]\n";
}

constexpr const char* kListenerYaml =
    R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: "0.0.0.0_80"
  address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
  traffic_direction: OUTBOUND
  filter_chains:
  - filter_chain_match: { application_protocols: ["http/1.1", "h2c"], transport_protocol: raw_buffer }
    filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: s
        rds: { route_config_name: "80", config_source: { ads: {}, initial_fetch_timeout: 0s } }
  default_filter_chain:
    filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: s
        cluster: PassthroughCluster
)";

// A virtual host with the VIP; `action` is that of its catch-all.
std::string routesYaml(const std::string& action) {
  return R"(- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: "80"
  virtual_hosts:
  - name: "web.default:80"
    domains: ["web.default.svc.cluster.local", "10.96.0.1", "[fd00::1]"]
    routes:
    - name: default
      match: { prefix: "/" }
      route: { )" +
         action + R"(, retry_policy: { num_retries: 2 } }
  - name: api
    domains: ["10.96.0.2"]
    routes: [{ match: { prefix: "/v1" }, route: { cluster: a } }]
  - name: allow_any
    domains: ["*"]
    routes: [{ match: { prefix: "/" }, route: { cluster: PassthroughCluster } }]
)";
}

class Routes : public MeshTest {
 protected:
  void serve(const std::string& routes) {
    mesh_->serve("all.yaml", "resources:\n" + backendYaml("a", hosts_[0]) +
                                 backendYaml("b", hosts_[1]) + kListenerYaml + routes);
  }
  void start() {
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log() << mesh_->controlPlane().log();
  }
  // Waits until the VIP leads to these clusters, in this order.
  bool leadsTo(const std::vector<std::string>& clusters) {
    return mesh_->awaitImage([&](const KernelImage& image) {
      const auto found = image.services.find({at(kVip), Protocol::kTcp});
      if (found == image.services.end()) return false;
      std::vector<std::string> names;
      for (const auto& group : found->second.service->groups) {
        if (group->hosts.empty()) return false;
        names.push_back(group->cluster);
      }
      return names == clusters;
    });
  }
  // Connects `count` times to the VIP; how many each backend accepted.
  std::vector<int> accepted(int count) {
    std::vector<int> per(listeners_.size());
    for (int i = 0; i < count; ++i) {
      const auto connection = connectTo(at(kVip));
      EXPECT_TRUE(connection.ok());
    }
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      // A connection that is established is in the queue already.
      while (true) {
        const UniqueFd one(recvAccept(listeners_[i].get()));
        if (!one.valid()) break;
        ++per[i];
      }
    }
    return per;
  }
  static int recvAccept(int listener) {
    const int flags = fcntl(listener, F_GETFL);
    fcntl(listener, F_SETFL, flags | O_NONBLOCK);
    return accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  }
  std::string ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs()});
    return run(arguments).output;
  }
};

TEST_F(Routes, AVipInADomainIsSplitByTheCatchAllAndNothingElseIsMade) {
  serve(
      routesYaml("weighted_clusters: { clusters: [{ name: a, weight: 75 }, { name: b, weight: "
                 "25 }] }"));
  start();
  ASSERT_TRUE(leadsTo({"a", "b"})) << mesh_->agent().log();
  const std::vector<int> counts = accepted(400);
  EXPECT_NEAR(counts[0], 300, 60);
  EXPECT_NEAR(counts[1], 100, 60);
  EXPECT_EQ(counts[2], 0);
  const KernelImage image = mesh_->image();
  EXPECT_EQ(image.services.size(), 2U) << "10.96.0.1:80 and [fd00::1]:80";

  const std::string list = ctl({"route", "list", "-o", "wide"});
  for (const char* text :
       {"10.96.0.1:80", "0.0.0.0_80", "filter_chains[0]", "web.default:80", "routes[0] default",
        "a 75, b 25", "retry_policy: a failed request is not sent again",
        "no route takes every request: needs layer 7", "leads to PassthroughCluster"}) {
    EXPECT_NE(list.find(text), std::string::npos) << text << " in\n" << list;
  }
  const std::string explained = ctl({"explain", kVip});
  EXPECT_NE(explained.find("Route: listener 0.0.0.0_80, filter_chains[0], routes 80, virtual host "
                           "web.default:80, routes[0] default"),
            std::string::npos)
      << explained;
  const std::string none = ctl({"explain", "10.96.0.2:80"});
  EXPECT_NE(none.find("no route takes every request"), std::string::npos) << none;
}

TEST_F(Routes, AChangedRouteMovesNewConnections) {
  serve(routesYaml("cluster: a"));
  start();
  ASSERT_TRUE(leadsTo({"a"})) << mesh_->agent().log();
  EXPECT_EQ(accepted(20), (std::vector<int>{20, 0, 0}));
  serve(routesYaml("cluster: b"));
  ASSERT_TRUE(leadsTo({"b"})) << mesh_->agent().log();
  EXPECT_EQ(accepted(20), (std::vector<int>{0, 20, 0}));
}

TEST_F(Routes, AfterARestartServicesGoOnUntilTheirRoutesHaveCome) {
  serve(routesYaml("cluster: a"));
  start();
  ASSERT_TRUE(leadsTo({"a"})) << mesh_->agent().log();
  mesh_->killAgent();
  mesh_->stopControlPlane();
  serve("");  // the listener without its routes
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(eventually(
      [&] {
        return mesh_->get("/config_dump").find("waits for route configuration 80") !=
               std::string::npos;
      },
      std::chrono::seconds(20)))
      << mesh_->agent().log();
  EXPECT_EQ(accepted(20), (std::vector<int>{20, 0, 0}));
  serve(routesYaml("cluster: b"));
  ASSERT_TRUE(leadsTo({"b"})) << mesh_->agent().log();
  EXPECT_EQ(accepted(20), (std::vector<int>{0, 20, 0}));
}

}  // namespace
}  // namespace sockmesh::test
