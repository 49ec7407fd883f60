// SPDX-License-Identifier: Apache-2.0
// Client-IP session affinity with real sockets: a client returns to its last endpoint within the
// time, if the endpoint still belongs to the service, is healthy and is in rotation.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <thread>

#include "lb/compiler.h"
#include "support/datapath_test.h"
#include "support/pod.h"
#include "support/tenant.h"
#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

constexpr const char* kOther = "10.96.0.2:80";
constexpr std::uint32_t kLong = 10800;

class Affinity : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    any_ = at("0.0.0.0:0");
    listener_ = std::move(listenOn(any_)).value();
  }

  DatapathOptions options() const override {
    DatapathOptions out = DatapathTest::options();
    out.maxAffinityClients = 16 * 1024;  // one client has a sixteenth
    return out;
  }

  std::string host(int n) const {
    return "127.0.4." + std::to_string(n) + ":" + std::to_string(any_.port);
  }
  std::vector<std::string> hosts(int count, int first = 1) const {
    std::vector<std::string> out;
    for (int n = first; n < first + count; ++n) out.push_back(host(n));
    return out;
  }
  static std::string client(int n) { return "127.5.0." + std::to_string(n); }

  // Where a connection from this address really goes. Nothing if it fails.
  SocketAddress from(const std::string& source, const std::string& vip = kVip,
                     bool mapped = false) {
    const UniqueFd socket = tcpSocket(mapped);
    if (mapped) {
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      inet_pton(AF_INET6, ("::ffff:" + source).c_str(), &name.sin6_addr);
      EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      inet_pton(AF_INET, source.c_str(), &name.sin_addr);
      EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    }
    error_ = connectErrno(socket.get(), at(vip), mapped);
    return error_ == 0 ? acceptedAt(listener_) : SocketAddress{};
  }
  std::map<int, SocketAddress> clients(int count, const std::string& vip = kVip) {
    std::map<int, SocketAddress> went;
    for (int n = 1; n <= count; ++n) went[n] = from(client(n), vip);
    return went;
  }
  std::vector<std::pair<sm_affinity_key, sm_affinity>> entries() {
    auto read = datapath_->maps().affinity.entries();
    EXPECT_TRUE(read);
    return std::move(read).value();
  }
  std::size_t remembered() { return entries().size(); }

  SocketAddress any_;
  UniqueFd listener_;
  int error_ = 0;
};

std::set<SocketAddress> distinct(const std::map<int, SocketAddress>& went) {
  std::set<SocketAddress> out;
  for (const auto& [client, endpoint] : went) out.insert(endpoint);
  return out;
}

TEST_F(Affinity, AClientGoesWhereItWentLast) {
  apply(TableBuilder().random(kVip, "c", hosts(5)).affine(kVip, kLong));
  const auto first = clients(20);
  EXPECT_GT(distinct(first).size(), 2u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(clients(20), first);
  EXPECT_EQ(from(client(7), kVip, true), first.at(7)) << "v4-mapped";
  EXPECT_EQ(remembered(), 20u);
}

TEST_F(Affinity, NobodyIsRememberedWithoutIt) {
  apply(TableBuilder().service(kVip, "c", hosts(5)));
  std::map<int, SocketAddress> went;
  for (int i = 0; i < 5; ++i) went[i] = from(client(1));
  EXPECT_EQ(distinct(went).size(), 5u);
  EXPECT_EQ(remembered(), 0u);
}

// Round robin: a new choice is always another.
TEST_F(Affinity, TheTimeCountsFromTheLastConnection) {
  apply(TableBuilder().service(kVip, "c", hosts(5)).affine(kVip, 1));
  const SocketAddress first = from(client(1));
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_EQ(from(client(1)), first) << i;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  const SocketAddress second = from(client(1));
  EXPECT_NE(second, first);
  EXPECT_EQ(from(client(1)), second);
}

TEST_F(Affinity, ARemovedEndpointIsLeftForGood) {
  apply(TableBuilder().random(kVip, "c", hosts(5)).affine(kVip, kLong));
  const auto before = clients(40);
  apply(TableBuilder().random(kVip, "c", hosts(4, 2)).affine(kVip, kLong));
  const auto after = clients(40);
  for (const auto& [client, endpoint] : before) {
    if (endpoint == at(host(1))) {
      EXPECT_NE(after.at(client), endpoint);
    } else {
      EXPECT_EQ(after.at(client), endpoint) << "the table changed, the endpoint did not";
    }
  }
  EXPECT_EQ(clients(40), after);
  apply(TableBuilder().random(kVip, "c", hosts(5)).affine(kVip, kLong));
  EXPECT_EQ(clients(40), after) << "that one comes back";
}

TEST_F(Affinity, AnIdThatIsReusedIsNotTheSameEndpoint) {
  apply(TableBuilder().random(kVip, "c", hosts(3)).affine(kVip, kLong));
  const auto before = clients(90);
  const std::uint32_t id = idOf("c", host(1));
  apply(TableBuilder().random(kVip, "c", hosts(2, 2)).affine(kVip, kLong));
  writer_->reap();
  apply(TableBuilder().random(kVip, "c", hosts(3, 2)).affine(kVip, kLong));
  ASSERT_EQ(idOf("c", host(4)), id) << "the test's premise";
  int moved = 0;
  int toNew = 0;
  for (const auto& [client, endpoint] : clients(90)) {
    if (before.at(client) != at(host(1))) continue;
    ++moved;
    toNew += endpoint == at(host(4)) ? 1 : 0;
  }
  EXPECT_GT(moved, 10);
  EXPECT_LT(toNew, moved) << "all went after the id";
}

TEST_F(Affinity, AnEjectedEndpointIsLeftAtOnce) {
  const auto tables =
      TableBuilder().random(kVip, "c", hosts(3)).affine(kVip, kLong).ejecting("c", 5, 2);
  apply(tables);
  const auto before = clients(30);
  const EjectionControl control = datapath_->ejections();
  ASSERT_EQ(control.detect(idOf("c", host(1)), Detector::kSuccessRate, 100).value(),
            Detection::kEjected);
  const auto after = clients(30);
  for (const auto& [client, endpoint] : before) {
    EXPECT_EQ(after.at(client) == endpoint, endpoint != at(host(1))) << client;
  }
  ASSERT_TRUE(control.uneject(idOf("c", host(1))).value());
  EXPECT_EQ(clients(30), after);
}

TEST_F(Affinity, OnlyEligibleEndpointsAreKept) {
  CompilerOptions options;
  options.affinity.byService["mine"] = kLong;
  options.affinity.byVip[at(kOther)] = 7;
  Compiler compiler(options);
  const auto serve = [&](EdsHealth first) {
    LocalityEndpoints local;
    for (int n = 1; n <= 5; ++n) {
      Endpoint endpoint;
      endpoint.address = at(host(n));
      endpoint.health = n == 1 ? first : EdsHealth::kHealthy;
      local.endpoints.push_back(endpoint);
    }
    SnapshotBuilder builder;
    builder.put(cluster("c", LbPolicy::kRandom), assignment({local}));
    builder.listen("mine", {kVip, kOther}, {{"c", 1, {}}});
    const auto tables = compiler.compile(builder.snapshot(), {}, Nanos(1));
    EXPECT_EQ(at(*tables).affinitySeconds, kLong);
    EXPECT_EQ(at(*tables, kOther).affinitySeconds, 7u);
    EXPECT_TRUE(writer_->apply(tables).errors.empty());
  };
  for (const EdsHealth health :
       {EdsHealth::kUnhealthy, EdsHealth::kDraining, EdsHealth::kTimeout, EdsHealth::kDegraded}) {
    serve(EdsHealth::kHealthy);
    const auto before = clients(60);
    ASSERT_TRUE(distinct(before).contains(at(host(1))));
    serve(health);
    const auto after = clients(60);
    for (const auto& [client, endpoint] : before) {
      EXPECT_EQ(after.at(client) == endpoint, endpoint != at(host(1))) << client;
    }
    for (const auto& [key, last] : entries()) {
      EXPECT_TRUE(datapath_->maps().affinity.erase(key));
    }
  }
}

TEST_F(Affinity, ServicesDoNotMeet) {
  apply(TableBuilder()
            .random(kVip, "c", hosts(3))
            .affine(kVip, kLong)
            .random(kOther, "d", hosts(3, 11))
            .affine(kOther, kLong));
  const auto first = clients(30);
  const auto second = clients(30, kOther);
  EXPECT_EQ(clients(30), first);
  EXPECT_EQ(clients(30, kOther), second);
  // The VIPs change hands; so do service and endpoint ids.
  apply(TableBuilder().random(kOther, "d", hosts(3, 11)).affine(kOther, kLong));
  writer_->reap();
  apply(TableBuilder()
            .random(kOther, "c", hosts(3))
            .affine(kOther, kLong)
            .random(kVip, "d", hosts(3, 11))
            .affine(kVip, kLong));
  for (const SocketAddress& endpoint : distinct(clients(30))) {
    EXPECT_TRUE(std::set({at(host(11)), at(host(12)), at(host(13))}).contains(endpoint));
  }
  for (const SocketAddress& endpoint : distinct(clients(30, kOther))) {
    EXPECT_TRUE(std::set({at(host(1)), at(host(2)), at(host(3))}).contains(endpoint));
  }
}

TEST_F(Affinity, ARestartKeepsIt) {
  const auto tables = TableBuilder().random(kVip, "c", hosts(5)).affine(kVip, kLong);
  apply(tables);
  const auto before = clients(20);
  open();
  EXPECT_EQ(apply(tables).writes, 0u);
  EXPECT_EQ(clients(20), before);
}

class SmallAffinity : public Affinity {
  DatapathOptions options() const override {
    DatapathOptions out = Affinity::options();
    out.maxAffinityClients = 1024;
    return out;
  }
};

TEST_F(SmallAffinity, AFullMapForgetsTheOldest) {
  apply(TableBuilder().random(kVip, "c", hosts(3)).affine(kVip, kLong));
  // Each user has a sixteenth at most.
  for (unsigned uid = 20001; uid <= 20024; ++uid) {
    auto tenant = Tenant::create("192.0.2.1", uid);
    ASSERT_TRUE(tenant) << tenant.error().message();
    (*tenant)->connectFromMany(at(kVip), 100);
  }
  EXPECT_LE(remembered(), 1024u);
  EXPECT_GT(remembered(), 500u);
  const SocketAddress last = from("127.6.5.250");
  EXPECT_EQ(from("127.6.5.250"), last);
}

// Unbound sockets: the namespace's own address.
TEST_F(Affinity, PodsAreClients) {
  ASSERT_TRUE(addAddress("10.99.0.1"));
  ASSERT_TRUE(addAddress("10.99.0.2"));
  ASSERT_TRUE(addAddress("10.99.0.3"));
  std::vector<std::string> backends;
  for (int n = 1; n <= 3; ++n) {
    backends.push_back("10.99.0." + std::to_string(n) + ":" + std::to_string(any_.port));
  }
  apply(TableBuilder().service(kVip, "c", backends).affine(kVip, kLong));
  const auto selected = [&] {
    std::vector<std::uint64_t> out;
    for (const auto& backend : backends) out.push_back(statsOf("c", backend).selected);
    return out;
  };
  auto one = Pod::create(1);
  ASSERT_TRUE(one) << one.error().message();
  auto two = Pod::create(2);
  ASSERT_TRUE(two) << two.error().message();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ((*one)->connect(at(kVip)), 0);
    EXPECT_EQ((*two)->connect(at(kVip)), 0);
  }
  auto counts = selected();
  std::sort(counts.begin(), counts.end());
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{0, 4, 4}));
  std::set<std::string> names;
  for (const auto& [key, last] : entries()) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(AF_INET6, key.client_be, text.data(), text.size());
    names.insert(text.data());
  }
  EXPECT_EQ(names, (std::set<std::string>{"::ffff:10.98.1.2", "::ffff:10.98.2.2"}));
}

}  // namespace
}  // namespace sockmesh::test
