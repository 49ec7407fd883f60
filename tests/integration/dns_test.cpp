// SPDX-License-Identifier: Apache-2.0
// Clusters whose endpoints are host names, with a real DNS server.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <set>
#include <sstream>

#include "integration/mesh_test.h"
#include "support/dns_server.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;

class Dns : public MeshTest {
 protected:
  // Backends on one port, as the addresses of a name need.
  void SetUp() override {
    MeshTest::SetUp();
    const std::uint16_t port = at(hosts_[0]).port;
    for (std::size_t i = 1; i < hosts_.size(); ++i) {
      SocketAddress address = at(hosts_[i]);
      address.port = port;
      listeners_[i].reset();
      listeners_[i] = std::move(listenOn(address, 4096)).value();
      hosts_[i] = address.toString();
    }
    for (const UniqueFd& listener : listeners_) {
      fcntl(listener.get(), F_SETFL, fcntl(listener.get(), F_GETFL) | O_NONBLOCK);
    }
  }
  static std::string ip(int host) { return "127.0.1." + std::to_string(host); }
  // A service whose endpoint is a name that is asked for often.
  std::string service(const std::string& type, const std::string& name,
                      const std::string& vip = kVip) const {
    const SocketAddress address = at(vip);
    return "resources:\n- {\"@type\": type.googleapis.com/envoy.config.listener.v3.Listener, name: "
           "l, "
           "address: {socket_address: {address: " +
           address.ip.toString() + ", port_value: " + std::to_string(address.port) +
           "}}, filter_chains: [{filters: [{name: t, typed_config: {\"@type\": "
           "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
           "stat_prefix: s, cluster: c}}]}]}\n"
           "- {\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c, type: " +
           type +
           ", dns_refresh_rate: 0.05s, dns_lookup_family: V4_ONLY, load_assignment: {cluster_name: "
           "c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: " +
           name + ", port_value: " + std::to_string(at(hosts_[0]).port) + "}}}}]}]}}\n";
  }
  void start() {
    mesh_->startControlPlane();
    startAgent();
  }
  void startAgent(const std::string& more = "") {
    mesh_->startAgent(mesh_->agentConfig("dns: {servers: [\"" + server_.address().toString() +
                                         "\"]" + more + "}\n"));
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  // The hosts that connections reach, of several.
  std::set<std::size_t> reached(const std::string& vip = kVip) {
    std::set<std::size_t> got;
    for (int i = 0; i < 24; ++i) {
      const auto client = connectTo(at(vip));
      if (!client) continue;
      for (std::size_t host = 0; host < listeners_.size(); ++host) {
        const UniqueFd accepted(
            accept4(listeners_[host].get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (accepted.valid()) got.insert(host);
      }
    }
    return got;
  }
  bool leadsTo(const std::set<std::size_t>& hosts, const std::string& vip = kVip) {
    return eventually([&] { return reached(vip) == hosts; }, std::chrono::seconds(20));
  }
  // Waits until the name was asked for again, and the answer was used.
  bool askedAgain(const std::string& name) {
    const int before = server_.asked(name);
    return eventually([&] { return server_.asked(name) >= before + 3; }, std::chrono::seconds(20));
  }

  DnsServer server_;
};

TEST_F(Dns, StrictClustersHaveAllAddressesAndFollowThem) {
  server_.set("a.example", {ip(1), ip(2)});
  mesh_->serve("a.yaml", service("STRICT_DNS", "a.example"));
  start();
  EXPECT_TRUE(leadsTo({0, 1})) << mesh_->agent().log();
  server_.set("a.example", {ip(2), ip(3)});
  EXPECT_TRUE(leadsTo({1, 2})) << mesh_->agent().log();

  server_.failAll();
  EXPECT_TRUE(askedAgain("a.example"));
  EXPECT_TRUE(leadsTo({1, 2})) << "the last good answer stays";
  EXPECT_TRUE(mesh_->agent().awaitLog("a.example (IPv4): does not resolve"));
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/metrics").find("sockmesh_dns_unresolved_names 1") != std::string::npos;
  }));
  EXPECT_THAT(mesh_->get("/status"), HasSubstr("\"a.example (IPv4)\""));

  server_.failAll(false);
  server_.set("a.example", {});
  EXPECT_TRUE(leadsTo({})) << "no address is an answer";
  EXPECT_EQ(connectTo(at(kVip)).error().errnum(), ECONNREFUSED);
}

TEST_F(Dns, AnAnswerOverTheLimitIsNamedByStatusAndChangesNothing) {
  server_.set("a.example", {ip(1)});
  mesh_->serve("a.yaml", service("STRICT_DNS", "a.example"));
  mesh_->startControlPlane();
  mesh_->startAgent(mesh_->agentConfig("limits: {max_endpoints: 2}\ndns: {servers: [\"" +
                                       server_.address().toString() + "\"]}\n"));
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(leadsTo({0})) << mesh_->agent().log();
  const auto statusNames = [&] {
    const Ran status = run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(),
                            "--admin-socket", mesh_->adminSocket(), "status"});
    return status.output.find("\nDNS cluster c: ") != std::string::npos;
  };
  server_.set("a.example", {ip(1), ip(2), ip(3)});
  EXPECT_TRUE(eventually(statusNames, std::chrono::seconds(20))) << mesh_->agent().log();
  EXPECT_TRUE(leadsTo({0}));
  server_.set("a.example", {ip(2), ip(3)});
  EXPECT_TRUE(leadsTo({1, 2})) << mesh_->agent().log();
  EXPECT_TRUE(eventually([&] { return !statusNames(); }, std::chrono::seconds(20)));
}

TEST_F(Dns, LogicalClustersHaveTheFirstAddressAndKeepIt) {
  server_.set("a.example", {ip(2), ip(1)});
  mesh_->serve("a.yaml", service("LOGICAL_DNS", "a.example"));
  start();
  EXPECT_TRUE(leadsTo({1})) << mesh_->agent().log();
  const auto established = connectTo(at(kVip));
  ASSERT_TRUE(established);
  UniqueFd accepted(accept4(listeners_[1].get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted.valid());

  server_.set("a.example", {ip(3), ip(2)});
  EXPECT_TRUE(leadsTo({2})) << mesh_->agent().log();
  EXPECT_EQ(send(established->get(), "x", 1, MSG_NOSIGNAL), 1) << "what is established stays";
  char byte = 0;
  EXPECT_EQ(recv(accepted.get(), &byte, 1, 0), 1);

  server_.set("a.example", {});
  EXPECT_TRUE(askedAgain("a.example"));
  EXPECT_TRUE(leadsTo({2})) << "an empty answer changes nothing";
}

TEST_F(Dns, ANewAgentWithoutADnsServerGoesOnAsTheKernelDoes) {
  server_.set("a.example", {ip(1)});
  mesh_->serve("a.yaml", service("STRICT_DNS", "a.example"));
  start();
  EXPECT_TRUE(leadsTo({0})) << mesh_->agent().log();
  mesh_->killAgent();
  server_.failAll();
  startAgent();
  EXPECT_TRUE(mesh_->agent().awaitLog("a.example (IPv4): does not resolve"));
  EXPECT_TRUE(askedAgain("a.example"));
  EXPECT_EQ(reached(), std::set<std::size_t>{0}) << mesh_->agent().log();
  server_.failAll(false);
  server_.set("a.example", {ip(2)});
  EXPECT_TRUE(leadsTo({1})) << mesh_->agent().log();
}

// As after a reboot: nothing is pinned, and neither the control plane nor a DNS server answers.
TEST_F(Dns, TheLastAnswersAreKeptWithTheCache) {
  const auto start = [this] {
    mesh_->startAgent(mesh_->agentConfig("ads: {cache_path: " + sandbox_->folder() +
                                         "/cache/resources}\ndns: {servers: [\"" +
                                         server_.address().toString() + "\"]}\n"));
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  };
  server_.set("a.example", {ip(1), ip(2)});
  mesh_->serve("a.yaml", service("STRICT_DNS", "a.example"));
  mesh_->startControlPlane();
  start();
  EXPECT_TRUE(leadsTo({0, 1})) << mesh_->agent().log();
  mesh_->agent().signal(SIGTERM);
  EXPECT_EQ(mesh_->agent().wait(), 0);
  const Ran ran = run({binary("sockmeshd"), "--cleanup", "--bpffs-root", sandbox_->bpffs()});
  EXPECT_EQ(ran.code, 0) << ran.output;
  mesh_->stopControlPlane();
  server_.failAll();

  start();
  EXPECT_TRUE(leadsTo({0, 1})) << mesh_->agent().log();
  EXPECT_TRUE(mesh_->agent().awaitLog("a.example (IPv4): does not resolve"));
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/metrics").find("sockmesh_dns_stale_names 1") != std::string::npos;
  }));
  EXPECT_TRUE(askedAgain("a.example"));
  EXPECT_EQ(reached(), (std::set<std::size_t>{0, 1})) << "a failure takes nothing away";
  EXPECT_THAT(run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "service", "list",
                   "-o", "json"})
                  .output,
              HasSubstr("; has 2 addresses that an earlier agent knew"));
  EXPECT_THAT(mesh_->get("/config_dump"), HasSubstr("\"name\": \"a.example (IPv4)\""));

  mesh_->startControlPlane();
  server_.failAll(false);
  server_.set("a.example", {ip(3)});
  EXPECT_TRUE(leadsTo({2})) << mesh_->agent().log();
  EXPECT_TRUE(eventually([&] {
    return mesh_->get("/metrics").find("sockmesh_dns_stale_names 0") != std::string::npos;
  }));
}

// As istiod sends a ServiceEntry without an address: the client resolves the name itself.
TEST_F(Dns, AServiceWithoutAVipIsReachedByTheAddressesOfItsName) {
  const std::string port = std::to_string(at(hosts_[0]).port);
  server_.set("a.example", {ip(1), ip(2)});
  std::string yaml = service("STRICT_DNS", "a.example", "0.0.0.0:" + port);
  const std::string name = "'outbound|" + port + "||a.example'";
  for (const auto& [from, to] : {std::pair("cluster: c}", "cluster: " + name + "}"),
                                 std::pair("name: c,", "name: " + name + ",")}) {
    yaml.replace(yaml.find(from), std::string(from).size(), to);
  }
  mesh_->serve("a.yaml", yaml);
  mesh_->startControlPlane();
  startAgent(", frontends: true");
  EXPECT_TRUE(leadsTo({0, 1}, hosts_[0])) << mesh_->agent().log();
  EXPECT_TRUE(leadsTo({0, 1}, hosts_[1])) << "either address leads to both";
  EXPECT_EQ(reached(hosts_[2]), std::set<std::size_t>{2}) << "another address is no VIP";
  server_.set("a.example", {ip(1), ip(3)});
  EXPECT_TRUE(leadsTo({0, 2}, hosts_[2])) << mesh_->agent().log();
  EXPECT_TRUE(leadsTo({1}, hosts_[1])) << "what the name had is an address like others";
}

TEST_F(Dns, AnEqualAnswerWritesNothing) {
  server_.set("a.example", {ip(1), ip(2)});
  mesh_->serve("a.yaml", service("STRICT_DNS", "a.example"));
  start();
  EXPECT_TRUE(leadsTo({0, 1})) << mesh_->agent().log();
  const auto writes = [&] {
    std::string lines;
    std::istringstream text(mesh_->get("/metrics"));
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with("sockmesh_map_writes_total")) lines += line + "\n";
    }
    return lines;
  };
  EXPECT_TRUE(askedAgain("a.example"));
  const std::string before = writes();
  server_.set("a.example", {ip(2), ip(1)});
  EXPECT_TRUE(askedAgain("a.example"));
  EXPECT_EQ(writes(), before) << "nor does a rotated one";
}

}  // namespace
}  // namespace sockmesh::test
