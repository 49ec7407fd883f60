// SPDX-License-Identifier: Apache-2.0
// A ServiceEntry with a range of addresses, as istiod sends it: from the control plane to the
// sockets and to what the CLI says.
#include <algorithm>
#include <functional>
#include <sstream>

#include "integration/mesh_test.h"
#include "maps/codec.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"

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

VipKey rangeKey(const std::string& range) {
  return {Vip::parse(range).value(), Protocol::kTcp};
}

// What another process may do to the ranges, and what the output then has in one line.
struct Damage {
  std::string name;
  std::function<void(KernelMaps& maps, const KernelImage& before)> inflict;
  std::vector<std::string> named;
};

constexpr const char* kWide = "127.16.0.0/16:9000";
constexpr const char* kNarrow = "127.16.2.0/24:9000";

// An entry for `range` that leads to the service of `to`.
std::function<void(KernelMaps&, const KernelImage&)> put(const std::string& range,
                                                         const std::string& to) {
  return [=](KernelMaps& maps, const KernelImage& before) {
    const std::uint32_t id = before.services.at(rangeKey(to)).id;
    ASSERT_TRUE(maps.ranges.put(encodeRange(rangeKey(range)), id));
  };
}

std::function<void(KernelMaps&, const KernelImage&)> erase(const std::string& range) {
  return [=](KernelMaps& maps, const KernelImage&) {
    ASSERT_TRUE(maps.ranges.erase(encodeRange(rangeKey(range))));
  };
}

std::vector<Damage> damages() {
  return {
      {"ARangeIsGone", erase(kWide), {"Service", "127.16.0.0/16:9000/TCP", "not there"}},
      {"ALongerRangeIsGone", erase(kNarrow), {"Service", "127.16.2.0/24:9000/TCP", "not there"}},
      {"ARangeLeadsToAnotherService",
       put(kWide, kNarrow),
       {"Service", "127.16.0.0/16:9000/TCP", "broken: "}},
      {"ARangeThatNobodyWants",
       put("127.17.0.0/16:9000", kWide),
       {"Service", "127.17.0.0/16:9000/TCP", "broken: "}},
      {"ALongerOneThatNobodyWants",
       put("127.16.9.0/24:9000", kNarrow),
       {"Service", "127.16.9.0/24:9000/TCP", "broken: "}},
      {"OneWordOfTheFilter",
       [](KernelMaps& maps, const KernelImage&) { maps.frontendFilter[7] = 0; },
       {"Service", "127.16.0.0/16:9000/TCP", "filter", "the VIP is not found"}},
  };
}

TEST_F(RangesOfServices, EachDamageIsNamedAndRepaired) {
  serve(chainYaml("127.16.0.0", 16, "a") + chainYaml("127.16.2.0", 24, "b"));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready() && serves(2)) << mesh_->agent().log();
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.name);
    auto maps = KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadWrite);
    ASSERT_TRUE(maps) << maps.error().message();
    damage.inflict(**maps, mesh_->image());
    const Ran found = ctl({"verify", "-o", "wide"});
    EXPECT_EQ(found.code, 79) << found.output;
    EXPECT_TRUE(lineHas(found.output, damage.named)) << found.output;
    const Ran repaired = ctl({"verify", "--repair"});
    EXPECT_EQ(repaired.code, 0) << repaired.output << mesh_->agent().log();
    EXPECT_TRUE(lineHas(repaired.output, {"In step", "2 services"})) << repaired.output;
    expectLeadsTo("127.16.9.9:9000", 0);
    expectLeadsTo("127.16.2.9:9000", 1);
    EXPECT_FALSE(connectTo(at("127.17.0.1:9000"))) << "nobody listens there";
  }
}

}  // namespace
}  // namespace sockmesh::test
