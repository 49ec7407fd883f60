// SPDX-License-Identifier: Apache-2.0
// Make before break, as an application sees it: connections go on while the control plane changes
// what a VIP leads to, whatever is still to be sent.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

std::string clusterYaml(const std::string& name, const std::string& edsName,
                        const std::string& fetchTimeout = "15s") {
  return "- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n"
         "  name: \"" +
         name +
         "\"\n  type: EDS\n  connect_timeout: 1s\n"
         "  eds_cluster_config: { service_name: \"" +
         edsName + "\", eds_config: { ads: {}, initial_fetch_timeout: " + fetchTimeout + " } }\n";
}

std::string endpointsYaml(const std::string& edsName, const std::string& host) {
  const SocketAddress address = at(host);
  return "- \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n"
         "  cluster_name: \"" +
         edsName +
         "\"\n  endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: "
         "{ address: \"" +
         address.ip.toString() + "\", port_value: " + std::to_string(address.port) +
         " } } } }] }]\n";
}

// A listener on kVip; `route` is the tcp_proxy's: "cluster: c" or "weighted_clusters: {...}".
std::string listenerYaml(const std::string& route) {
  return R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: l
  address: { socket_address: { address: 10.96.0.1, port_value: 80 } }
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: s
        )" +
         route + "\n";
}

std::string split(const std::string& one, const std::string& other) {
  return "weighted_clusters: { clusters: [{ name: \"" + one + "\", weight: 1 }, { name: \"" +
         other + "\", weight: 1 }] }";
}

// `resource`, a list item, in a wrapper with a ttl.
std::string mortalYaml(const std::string& name, const std::string& ttl, std::string resource) {
  for (std::size_t at = 0; (at = resource.find('\n', at)) + 1 < resource.size();) {
    resource.insert(at + 1, "  ");
    at += 3;
  }
  return "- \"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource\n  name: \"" + name +
         "\"\n  ttl: " + ttl + "\n  resource:\n    " + resource.substr(2, std::string::npos);
}

class Warming : public MeshTest {
 protected:
  ~Warming() override { stopConnecting(); }

  void serve(const std::vector<std::string>& resources) {
    std::string yaml = "resources:\n";
    for (const std::string& one : resources) yaml += one;
    mesh_->serve("all.yaml", yaml);
  }
  // A resource with a ttl that nobody renews, in a file of its own: the response's type tells what
  // the wrapper holds.
  void serveMortal(const std::string& file, const std::string& type, const std::string& name,
                   const std::string& resource) {
    mesh_->serve(file + ".yaml", "type_url: type.googleapis.com/envoy.config." + type +
                                     "\nresources:\n" + mortalYaml(name, "3s", resource));
  }
  void start() {
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log() << mesh_->controlPlane().log();
    ASSERT_TRUE(leadsTo({hosts_[0]}));
  }
  // Waits until the VIP leads to these endpoints and to nothing else.
  bool leadsTo(const std::vector<std::string>& hosts) {
    std::vector<SocketAddress> wanted;
    for (const std::string& host : hosts) wanted.push_back(at(host));
    return mesh_->awaitImage([&](const KernelImage& image) {
      const auto found = image.services.find({at(kVip), Protocol::kTcp});
      return found != image.services.end() && found->second.service->groups[0]->hosts == wanted;
    });
  }
  // Waits until the agent has taken something from the control plane that waits.
  bool keeps(const std::string& text) {
    return eventually([&] { return mesh_->get("/config_dump").find(text) != std::string::npos; },
                      std::chrono::seconds(20));
  }
  // errno of a connection to the VIP; 0: established.
  static int connectError() {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(80);
    inet_pton(AF_INET, "10.96.0.1", &to.sin_addr);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 ? 0 : errno;
  }

  // Connects without a pause, until stopConnecting(); accepts what comes.
  void connectAllTheTime() {
    for (const UniqueFd& listener : listeners_) {
      fcntl(listener.get(), F_SETFL, fcntl(listener.get(), F_GETFL) | O_NONBLOCK);
      threads_.emplace_back([this, fd = listener.get()] {
        while (connecting_) {
          const UniqueFd accepted(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK));
          if (!accepted.valid()) std::this_thread::yield();
        }
      });
    }
    threads_.emplace_back([this] {
      while (connecting_) {
        ++connects_;
        if (connectError() != 0) ++failed_;
      }
    });
  }
  void stopConnecting() {
    connecting_ = false;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Some more connections have been made since.
  bool moreConnects() {
    const std::uint64_t before = connects_;
    return eventually([&] { return connects_ > before + 20; }, std::chrono::seconds(20));
  }

  std::atomic<bool> connecting_{true};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::vector<std::thread> threads_;
};

TEST_F(Warming, AClusterWhoseEdsNameChangesIsServedUntilTheNewNameIsAnswered) {
  serve({listenerYaml("cluster: c"), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  start();
  connectAllTheTime();
  serve({listenerYaml("cluster: c"), clusterYaml("c", "b"), endpointsYaml("a", hosts_[0])});
  ASSERT_TRUE(keeps("its newest version waits for the endpoints of b")) << mesh_->agent().log();
  EXPECT_TRUE(moreConnects());
  // The old name is subscribed as before.
  serve({listenerYaml("cluster: c"), clusterYaml("c", "b"), endpointsYaml("a", hosts_[1])});
  EXPECT_TRUE(leadsTo({hosts_[1]})) << mesh_->agent().log();
  serve({listenerYaml("cluster: c"), clusterYaml("c", "b"), endpointsYaml("b", hosts_[2])});
  EXPECT_TRUE(leadsTo({hosts_[2]})) << mesh_->agent().log();
  EXPECT_TRUE(moreConnects());
  stopConnecting();
  EXPECT_EQ(failed_, 0U) << "of " << connects_;
}

TEST_F(Warming, TheTimeOutOfTheNewNameEndsWhatTheOldOneServes) {
  serve({listenerYaml("cluster: c"), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  start();
  serve({listenerYaml("cluster: c"), clusterYaml("c", "b", "0.5s"), endpointsYaml("a", hosts_[0])});
  EXPECT_TRUE(eventually([] { return connectError() == ECONNREFUSED; }, std::chrono::seconds(20)))
      << mesh_->agent().log();
}

TEST_F(Warming, AListenerIsSwitchedOnceItsNewClusterHasEndpoints) {
  serve({listenerYaml("cluster: c"), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  start();
  connectAllTheTime();
  // The old cluster goes in the same edit.
  serve({listenerYaml("cluster: d"), clusterYaml("d", "b"), endpointsYaml("a", hosts_[0])});
  ASSERT_TRUE(keeps("its newest version waits for the endpoints of d")) << mesh_->agent().log();
  EXPECT_TRUE(moreConnects());
  serve({listenerYaml("cluster: d"), clusterYaml("d", "b"), endpointsYaml("b", hosts_[1])});
  EXPECT_TRUE(leadsTo({hosts_[1]})) << mesh_->agent().log();
  for (int i = 0; i < 10; ++i) {
    const std::string name = "c" + std::to_string(i);
    serve({listenerYaml("cluster: " + name), clusterYaml(name, name),
           endpointsYaml(name, hosts_[i % 2])});
    EXPECT_TRUE(leadsTo({hosts_[i % 2]})) << mesh_->agent().log();
  }
  stopConnecting();
  EXPECT_EQ(failed_, 0U) << "of " << connects_;
}

TEST_F(Warming, AClusterThatIsRemovedServesWhileTheListenerPointsAtIt) {
  serve({listenerYaml("cluster: c"), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  start();
  connectAllTheTime();
  serve({listenerYaml("cluster: c"), endpointsYaml("a", hosts_[0])});
  ASSERT_TRUE(keeps("the control plane removed it")) << mesh_->agent().log();
  EXPECT_TRUE(moreConnects());
  serve({listenerYaml("cluster: c"), clusterYaml("c", "b"), endpointsYaml("b", hosts_[1])});
  EXPECT_TRUE(leadsTo({hosts_[1]})) << mesh_->agent().log();
  stopConnecting();
  EXPECT_EQ(failed_, 0U) << "of " << connects_;
}

TEST_F(Warming, APartOfASplitWhoseClusterDoesNotExistIsRefused) {
  serve({listenerYaml(split("c", "ghost")), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    const int error = connectError();
    EXPECT_TRUE(error == 0 || error == ECONNREFUSED) << error;
    refused += error == ECONNREFUSED ? 1 : 0;
  }
  EXPECT_NEAR(refused, 100, 50);
  const auto explained =
      run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "explain", kVip});
  EXPECT_NE(explained.output.find("the control plane has no such cluster"), std::string::npos)
      << explained.output;
  serve({listenerYaml("cluster: ghost"), clusterYaml("c", "a"), endpointsYaml("a", hosts_[0])});
  EXPECT_TRUE(eventually([] {
    for (int i = 0; i < 20; ++i) {
      if (connectError() != ECONNREFUSED) return false;
    }
    return true;
  })) << mesh_->agent().log();
}

TEST_F(Warming, AClusterWhoseTtlIsOverIsRefusedAndAListenerLeavesItsVip) {
  serve({listenerYaml("cluster: c"), endpointsYaml("a", hosts_[0])});
  serveMortal("Cluster", "cluster.v3.Cluster", "c", clusterYaml("c", "a"));
  start();
  EXPECT_EQ(connectError(), 0);
  EXPECT_TRUE(eventually([] { return connectError() == ECONNREFUSED; }, std::chrono::seconds(20)))
      << mesh_->agent().log();
  EXPECT_NE(mesh_->get("/metrics").find("sockmesh_xds_expired_resources_total{type=\"CDS\"} 1"),
            std::string::npos);
  serve({clusterYaml("d", "a"), endpointsYaml("a", hosts_[1])});
  serveMortal("Listener", "listener.v3.Listener", "l", listenerYaml("cluster: d"));
  EXPECT_TRUE(leadsTo({hosts_[1]})) << mesh_->agent().log();
  EXPECT_TRUE(mesh_->awaitImage([](const KernelImage& image) { return image.services.empty(); }))
      << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
