// SPDX-License-Identifier: Apache-2.0
// Consistent hashing by source address: the hook hashes the client's address as Envoy does.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "maps/pin_path.h"
#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

constexpr std::uint32_t kTableSize = 65537;

class SourceHash : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    port_ = at("0.0.0.0:0");
    listener_ = std::move(listenOn(port_)).value();
  }
  void TearDown() override { run("ip link del sm-test0 2>/dev/null"); }

  static void run(const std::string& command) {
    [[maybe_unused]] const int status = std::system(command.c_str());
  }

  std::string host(int n) const {
    return "127.0.1." + std::to_string(n) + ":" + std::to_string(port_.port);
  }

  // A Maglev service in which only the slot of `source` leads to host 2.
  void expectOnly(const std::string& vip, const std::string& source) {
    const std::uint64_t hash = XXH64(source.data(), source.size(), 0);
    auto table = std::make_shared<CellTable>();
    table->size = kTableSize;
    table->cells.resize((kTableSize + 3) / 4);
    const auto slot = static_cast<std::uint32_t>(hash % kTableSize);
    table->cells[slot / 4].words[slot % 4] = 1;
    auto group = std::make_shared<LbGroup>();
    group->policy = SM_POLICY_MAGLEV;
    group->cluster = "maglev";
    group->hosts = {at(host(1)), at(host(2))};
    group->table = table;
    auto service = std::make_shared<LbService>();
    service->name = "maglev";
    service->vip = at(vip);
    service->flags = SM_DESCRIPTOR_HASH_SOURCE;
    service->groups = {group};
    auto cluster = std::make_shared<LbCluster>();
    cluster->name = "maglev";
    std::vector<LbEndpoint> endpoints(group->hosts.size());
    for (std::size_t i = 0; i < endpoints.size(); ++i) endpoints[i].address = group->hosts[i];
    cluster->endpoints = LbEndpoints(endpoints);
    LbTables tables;
    tables.services[{service->vip, Protocol::kTcp}] = service;
    tables.clusters["maglev"] = cluster;
    ASSERT_TRUE(writer_->apply(std::make_shared<LbTables>(tables)).errors.empty());
  }

  SocketAddress reached(const UniqueFd& client, const std::string& vip, bool mapped = false) {
    EXPECT_EQ(connectErrno(client.get(), at(vip), mapped), 0);
    return acceptedAt(listener_);
  }

  SocketAddress port_;
  UniqueFd listener_;
};

TEST_F(SourceHash, ABoundSourceIsHashedAsText) {
  for (const char* source : {"127.2.0.1", "127.2.3.250", "127.255.10.100", "127.0.0.1"}) {
    expectOnly("10.96.0.1:80", source);
    for (const char* bound : {source, "127.9.9.9"}) {
      const UniqueFd client = tcpSocket();
      sockaddr_in name{};
      name.sin_family = AF_INET;
      inet_pton(AF_INET, bound, &name.sin_addr);
      ASSERT_EQ(bind(client.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
      EXPECT_EQ(reached(client, "10.96.0.1:80") == at(host(2)), bound == std::string(source))
          << bound;
    }
  }
}

TEST_F(SourceHash, WithoutAnInterfaceItIsLoopback) {
  expectOnly("10.96.0.1:80", "127.0.0.1");
  EXPECT_EQ(reached(tcpSocket(), "10.96.0.1:80"), at(host(2)));
  EXPECT_EQ(reached(tcpSocket(true), "10.96.0.1:80", true), at(host(2))) << "v4-mapped";
  expectOnly("[fd00::1]:80", "::1");
  EXPECT_EQ(reached(tcpSocket(true), "[fd00::1]:80"), at(host(2)));
}

TEST_F(SourceHash, WithoutAnyAddressChanceChoosesAndIsCounted) {
  expectOnly("10.96.0.1:80", "127.0.0.1");
  const auto fallbacks = [&] {
    return sumClusterStats(datapath_->maps(), ids_->clusterId("maglev")).hash_fallback;
  };
  EXPECT_EQ(reached(tcpSocket(), "10.96.0.1:80"), at(host(2)));
  EXPECT_EQ(fallbacks(), 0u);
  // Programs that are loaded anew have an empty cache of namespaces' addresses.
  std::filesystem::remove_all(PinPath(sandbox_->bpffs()).programs());
  open();
  EXPECT_FALSE(datapath_->programsAdopted());
  run("ip link set lo down");
  for (int i = 0; i < 3; ++i) {
    const UniqueFd client = tcpSocket(false, true);
    connectErrno(client.get(), at("10.96.0.1:80"));  // what counts is the choice
  }
  run("ip link set lo up");
  EXPECT_EQ(fallbacks(), 3u);
}

TEST_F(SourceHash, AnUnboundSourceIsTheNamespacesAddress) {
  run("ip link add sm-test0 type veth peer name sm-test1");
  run("ip addr add 10.244.255.199/24 dev sm-test0");
  run("ip -6 addr add 2001:db8::a0:0:1/64 dev sm-test0 nodad");
  run("ip link set sm-test0 up");
  expectOnly("10.96.0.1:80", "10.244.255.199");
  EXPECT_EQ(reached(tcpSocket(), "10.96.0.1:80"), at(host(2)));
  EXPECT_EQ(reached(tcpSocket(true), "10.96.0.1:80", true), at(host(2))) << "v4-mapped";
  expectOnly("[fd00::1]:80", "2001:db8::a0:0:1");
  EXPECT_EQ(reached(tcpSocket(true), "[fd00::1]:80"), at(host(2)));
}

TEST_F(SourceHash, Ipv6TextIsCanonical) {
  run("ip link add sm-test0 type veth peer name sm-test1");
  run("ip link set sm-test0 up");
  for (const char* source : {"2001:db8::1", "2001:db8:0:1::5", "2001:db8:0:1:2:3:4:5",
                             "fd00:0:0:1::", "2001:db8:1234:5678:9abc:def0:1234:5678", "fd00::"}) {
    run(std::string("ip -6 addr add ") + source + "/128 dev sm-test0 nodad");
    expectOnly("[fd00::1]:80", source);
    const UniqueFd client = tcpSocket(true);
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    inet_pton(AF_INET6, source, &name.sin6_addr);
    ASSERT_EQ(bind(client.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0) << source;
    // No route leads from a global address to a v4 endpoint. Only the choice counts here.
    const auto before = statsOf("maglev", host(2)).selected;
    connectErrno(client.get(), at("[fd00::1]:80"));
    EXPECT_EQ(statsOf("maglev", host(2)).selected, before + 1) << source;
  }
}

}  // namespace
}  // namespace sockmesh::test
