// SPDX-License-Identifier: Apache-2.0
// Who a client is, and for whom it speaks, with real pods, namespaces, cgroups and users. A pod's
// firewall or route makes trouble for it; the endpoints serve everybody else.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "inspect/client_runs.h"
#include "inspect/live_state.h"
#include "maps/client_text.h"
#include "maps/endpoint_state_reader.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/pod.h"
#include "support/tenant.h"
#include "unit/lb/build.h"

namespace sockmesh::test {
namespace {

// Two endpoints in the test's namespace, and a folder of pods' cgroups as the kubelet makes it.
class Clients : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    SocketAddress any = at("0.0.0.0:0");
    listener_ = std::move(listenOn(any)).value();
    fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    for (int n = 1; n <= 2; ++n) {
      const std::string ip = "10.97.1." + std::to_string(n);
      ASSERT_TRUE(addAddress(ip));
      backends_.push_back(ip + ":" + std::to_string(any.port));
    }
    for (const std::string folder : {"/kubepods.slice", "/kubepods-burstable.slice"}) {
      folder_ = folders_.empty() ? sandbox_->cgroup() + folder : folder_ + folder;
      make(folder_);
    }
    datapath_->check();  // finds where pods are
  }
  void TearDown() override {
    tenants_.clear();
    pods_.clear();
    for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
      EXPECT_TRUE(eventually([&] { return rmdir(folder->c_str()) == 0 || errno == ENOENT; }));
    }
    DatapathTest::TearDown();
  }

  // Three failures in a row eject.
  void serve(std::uint32_t count = 2, Nanos connectTimeout = std::chrono::seconds(5)) {
    apply(TableBuilder()
              .service(kVip, "c", {backends_.begin(), backends_.begin() + count})
              .ejecting("c", 3, 2, std::chrono::seconds(30), connectTimeout));
  }
  const std::string& make(const std::string& folder) {
    EXPECT_EQ(mkdir(folder.c_str(), 0755), 0) << folder;
    return folders_.emplace_back(folder);
  }
  // The cgroup of a pod, with one below for a container.
  std::string podCgroup(const std::string& name, const std::string& container = "main") {
    const std::string pod = folder_ + "/kubepods-burstable-pod" + name + ".slice";
    if (access(pod.c_str(), F_OK) != 0) make(pod);
    return make(pod + "/" + container);
  }
  Pod& pod(const std::string& cgroup = "") {
    auto made = Pod::create(static_cast<int>(pods_.size()) + 21, cgroup);
    EXPECT_TRUE(made) << made.error().message();
    return *pods_.emplace_back(std::move(made).value());
  }
  // Its packets to this endpoint are reset, by its own firewall.
  void forbid(Pod& pod, int n) {
    for (const std::string& line :
         {std::string("add table ip own"),
          std::string("add chain ip own out { type filter hook output priority 0; }"),
          "add rule ip own out ip daddr 10.97.1." + std::to_string(n) + " reject with tcp reset"}) {
      const Ran ran = pod.exec({"nft", line});
      ASSERT_EQ(ran.code, 0) << ran.output;
    }
  }
  // From now on the tenant's packets go to a device whose other end nobody listens on.
  static void leadNowhere(const Tenant& tenant) {
    const std::string pid = std::to_string(tenant.pid());
    for (const std::string line :
         {"link add nowhere type veth peer name void", "link set void up",
          "link set nowhere arp off up", "address add 10.96.7.1/16 dev nowhere",
          "route add default dev nowhere"}) {
      const Ran ran = run({"sh", "-c", "nsenter -t " + pid + " -n ip " + line});
      ASSERT_EQ(ran.code, 0) << line << ": " << ran.output;
    }
  }
  // How many of so many connects failed.
  int failuresOf(Pod& pod, int times) {
    int failures = 0;
    for (int i = 0; i < times; ++i) {
      failures += pod.connect(at(kVip)) == 0 ? 0 : 1;
      while (UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)).valid()) {
      }
    }
    return failures;
  }
  EndpointState line(int n) {
    return readEndpointState(datapath_->maps(), idOf("c", backends_[n - 1])).value();
  }
  sm_cluster_stats clusterStats() {
    return sumClusterStats(datapath_->maps(), ids_->clusterId("c"));
  }
  std::uint64_t selected(int n) { return statsOf("c", backends_[n - 1]).selected; }
  std::set<std::uint64_t> clients() {
    const auto lines = clientLines(datapath_->maps());
    std::set<std::uint64_t> out;
    for (const sm_client_line& line : lines) out.insert(line.id);
    out.erase(0);
    return out;
  }

  UniqueFd listener_;
  std::vector<std::string> backends_;
  std::vector<std::string> folders_;
  std::string folder_;  // in which pods' cgroups are
  std::vector<std::unique_ptr<Pod>> pods_;
  std::vector<std::unique_ptr<Tenant>> tenants_;
};

// As with an Envoy of its own: after the threshold the pod goes to the other endpoint alone.
TEST_F(Clients, APodsTroubleEjectsForThatPodAlone) {
  serve();
  Pod& troubled = pod(podCgroup("a"));
  Pod& other = pod(podCgroup("b"));
  EXPECT_EQ(failuresOf(troubled, 4), 0);
  EXPECT_EQ(failuresOf(other, 4), 0);
  forbid(troubled, 1);
  EXPECT_EQ(failuresOf(troubled, 100), 3) << "its third failure in a row is the last";
  const std::uint64_t before = selected(1);
  EXPECT_EQ(failuresOf(other, 100), 0);
  EXPECT_EQ(selected(1) - before, 50u) << "nothing has changed for the other pod";
  EXPECT_FALSE(line(1).ejected);
  EXPECT_EQ(clusterStats().ejections_own, 1u);
  EXPECT_GT(clusterStats().reselected, 40u);
  const auto stats = readDatapathStats(sandbox_->bpffs()).value();
  EXPECT_EQ(stats.clusters.at(0).ejectionsOwn, 1U);
  EXPECT_EQ(stats.clusters.at(0).ejectedForOne, 1U) << "in a scrape";

  const auto runs = clientRuns(datapath_->maps());
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].endpointId, idOf("c", backends_[0]));
  EXPECT_EQ(runs[0].client & SM_CLIENT_KIND, SM_CLIENT_IS_POD);
  struct stat about {};
  ASSERT_EQ(stat((folder_ + "/kubepods-burstable-poda.slice").c_str(), &about), 0);
  EXPECT_EQ(clientText(runs[0].client), "pod:" + std::to_string(about.st_ino));
}

TEST_F(Clients, TwoHonestPodsAgreeOnADeadEndpoint) {
  serve();
  Pod& one = pod(podCgroup("a"));
  Pod& two = pod(podCgroup("b"));
  EXPECT_EQ(failuresOf(one, 4), 0);
  EXPECT_EQ(failuresOf(two, 4), 0);
  forbid(one, 2);
  forbid(two, 2);
  int failures = 0;
  for (int i = 0; i < 50 && !line(2).ejected; ++i) {
    failures += failuresOf(one, 1);
    failures += failuresOf(two, 1);
  }
  EXPECT_EQ(failures, 6) << "three each";
  EXPECT_TRUE(line(2).ejected) << "for all";
  Pod& third = pod(podCgroup("c"));
  const std::uint64_t before = selected(2);
  EXPECT_EQ(failuresOf(third, 20), 0);
  EXPECT_EQ(selected(2), before) << "a third pod is spared";
}

// Six network namespaces and six cgroups inside of one pod are one client.
TEST_F(Clients, WhateverAPodMakesIsOneClient) {
  serve(1);
  Pod& honest = pod(podCgroup("a"));
  EXPECT_EQ(failuresOf(honest, 4), 0);
  std::vector<Pod*> parts;
  for (int i = 0; i < 6; ++i) {
    parts.push_back(&pod(podCgroup("b", "part" + std::to_string(i))));
    EXPECT_EQ(failuresOf(*parts.back(), 1), 0) << "each was served";
    forbid(*parts.back(), 1);
  }
  for (int round = 0; round < 5; ++round) {
    for (Pod* part : parts) EXPECT_EQ(failuresOf(*part, 2), 2);
    EXPECT_EQ(failuresOf(honest, 4), 0);
    ASSERT_FALSE(line(1).ejected);
  }
  EXPECT_EQ(clients().size(), 2u);
  EXPECT_EQ(clusterStats().ejections_own, 1u);
}

// Without privileges and outside of pods. Their connects end nowhere, on a device of their own.
TEST_F(Clients, WhateverNamespacesAUserMakesAreOneClient) {
  serve(1, std::chrono::milliseconds(20));
  Pod& honest = pod();
  EXPECT_EQ(failuresOf(honest, 4), 0);
  for (int i = 0; i < 6; ++i) {
    auto made = Tenant::create("192.0.2.1");
    ASSERT_TRUE(made) << made.error().message();
    leadNowhere(**made);
    tenants_.push_back(std::move(made).value());
  }
  for (int round = 0; round < 2; ++round) {
    for (const auto& tenant : tenants_) {
      EXPECT_EQ(tenant->giveUp(at(kVip), 2, std::chrono::milliseconds(40)), 2);
    }
    EXPECT_EQ(failuresOf(honest, 4), 0);
    ASSERT_FALSE(line(1).ejected);
  }
  EXPECT_GE(line(1).failures, 24u) << "they do count, for whom they are";
  EXPECT_EQ(clients().size(), 2u);
  EXPECT_EQ(clients().count(SM_CLIENT_IS_USER | 65534), 1u);
  EXPECT_EQ(clusterStats().ejections_own, 1u);
}

// The very same namespaces, made by root, are clients of their own: they agree, and eject.
TEST_F(Clients, OutsidePodsANamespaceIsAClient) {
  serve(1);
  Pod& one = pod();
  Pod& two = pod();
  Pod& three = pod();
  for (Pod* each : {&one, &two, &three}) EXPECT_EQ(failuresOf(*each, 1), 0);
  forbid(one, 1);
  forbid(two, 1);
  EXPECT_EQ(failuresOf(one, 3), 3);
  EXPECT_FALSE(line(1).ejected);
  EXPECT_EQ(failuresOf(two, 3), 3);
  EXPECT_TRUE(line(1).ejected) << "two of three";
  EXPECT_EQ(clients().size(), 3u);
}

// The endpoint is dead for the victim. A liar that is served all the time does not prolong it.
TEST_F(Clients, WhoIsServedEndsNobodyElsesRun) {
  serve();
  Pod& victim = pod(podCgroup("a"));
  Pod& liar = pod(podCgroup("b"));
  forbid(victim, 1);
  int failures = 0;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(failuresOf(liar, 4), 0);
    failures += failuresOf(victim, 2);
  }
  EXPECT_EQ(failures, 3);
}

// One client's refused connections are its own: the rates of others stay as they are.
TEST_F(Clients, OutcomesAreCountedByClient) {
  serve(1);
  Pod& honest = pod(podCgroup("a"));
  Pod& troubled = pod(podCgroup("b"));
  EXPECT_EQ(failuresOf(honest, 10), 0);
  forbid(troubled, 1);
  EXPECT_EQ(failuresOf(troubled, 20), 20);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> seen;
  const std::uint32_t id = idOf("c", backends_[0]);
  for (std::size_t i = 0; i < EndpointState::kClients; ++i) {
    const EndpointState::Outcomes outcomes = line(1).outcomes[i];
    if (outcomes.successes + outcomes.failures == 0) continue;
    seen.emplace_back(outcomes.successes, outcomes.failures);
    EXPECT_NE(clientOfOutcomes(datapath_->maps(), id, i),
              static_cast<std::uint32_t>(SM_CLIENT_NONE));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 20}, {10, 0}}));
}

TEST_F(Clients, WithoutOutlierDetectionNothingIsEjectedForAnybody) {
  serve();
  Pod& troubled = pod(podCgroup("a"));
  Pod& other = pod(podCgroup("b"));
  EXPECT_EQ(failuresOf(other, 2), 0);
  forbid(troubled, 1);
  EXPECT_EQ(failuresOf(troubled, 20), 3);
  apply(TableBuilder().service(kVip, "c", backends_));
  EXPECT_EQ(failuresOf(troubled, 20), 10);
}

TEST_F(Clients, ARestartedAgentKeepsWhatEachHasEjected) {
  const auto tables = TableBuilder().service(kVip, "c", backends_).ejecting("c", 3, 2);
  apply(tables);
  Pod& troubled = pod(podCgroup("a"));
  Pod& other = pod(podCgroup("b"));
  EXPECT_EQ(failuresOf(other, 2), 0);
  forbid(troubled, 1);
  EXPECT_EQ(failuresOf(troubled, 10), 3);
  open();
  EXPECT_EQ(apply(tables).writes, 0u);
  EXPECT_EQ(failuresOf(troubled, 20), 0);
  EXPECT_EQ(failuresOf(other, 20), 0);
}

class SmallShares : public Clients {
 protected:
  DatapathOptions options() const override {
    auto out = Clients::options();
    out.maxConnections = 64;
    out.maxAffinityClients = 1024;
    return out;
  }
  std::uint64_t lost(sm_counter counter) { return readCounter(datapath_->maps(), counter).value(); }
};

// 64 entries are a client's share of 1,024.
TEST_F(SmallShares, ManyAddressesMakeTheNodeForgetNobodyElse) {
  apply(TableBuilder().random(kVip, "c", backends_).affine(kVip, 10800));
  Pod& honest = pod(podCgroup("a"));
  EXPECT_EQ(failuresOf(honest, 1), 0);
  const int where = selected(1) == 1 ? 1 : 2;
  auto tenant = Tenant::create("192.0.2.1");
  ASSERT_TRUE(tenant) << tenant.error().message();
  (*tenant)->connectFromMany(at(kVip), 8000);
  EXPECT_GT(lost(SM_COUNTER_AFFINITY_LOST), 7000u) << "it falls back alone";
  const auto entries = datapath_->maps().affinity.entries();
  ASSERT_TRUE(entries);
  EXPECT_LE(entries->size(), 65u);
  const std::uint64_t before = selected(where);
  EXPECT_EQ(failuresOf(honest, 20), 0);
  EXPECT_EQ(selected(where) - before, 20u) << "still where it went first";
  ASSERT_TRUE(datapath_->recountAffinity());
  (*tenant)->connectFromMany(at(kVip), 100);
  EXPECT_LE(datapath_->maps().affinity.entries()->size(), 65u);
}

// Anybody can have a victim's address in a namespace of their own.
TEST_F(SmallShares, AnAddressElsewhereIsAnotherClientsAffinity) {
  apply(TableBuilder().random(kVip, "c", backends_).affine(kVip, 10800));
  Pod& honest = pod(podCgroup("a"));
  EXPECT_EQ(failuresOf(honest, 1), 0);
  const int where = selected(1) == 1 ? 1 : 2;
  std::uint64_t others = 0;
  for (int i = 0; i < 20; ++i) {
    auto tenant = Tenant::create("10.98.21.2");  // the pod's own
    ASSERT_TRUE(tenant) << tenant.error().message();
    const std::uint64_t before = selected(3 - where);
    (*tenant)->connectBound(at(kVip));
    others += selected(3 - where) - before;
  }
  EXPECT_GT(others, 0u) << "each of them chose anew";
  const std::uint64_t before = selected(where);
  EXPECT_EQ(failuresOf(honest, 10), 0);
  EXPECT_EQ(selected(where) - before, 10u);
}

// 4,096 records are a client's share of the 65,536 behind the table.
TEST_F(SmallShares, ManyConnectionsTakeNobodyElsesRecords) {
  serve(1, std::chrono::seconds(600));
  auto tenant = Tenant::create("192.0.2.1");
  ASSERT_TRUE(tenant) << tenant.error().message();
  leadNowhere(**tenant);
  EXPECT_EQ((*tenant)->begin(at(kVip), 5000), 5000) << "all are balanced";
  EXPECT_EQ(datapath_->maps().globals[0].conn_overflow_live, 4096u);
  EXPECT_GT(lost(SM_COUNTER_CONN_LOST), 800u) << "what is beyond is not counted";
  Pod& honest = pod(podCgroup("a"));
  const std::uint64_t uncounted = lost(SM_COUNTER_CONN_LOST);
  EXPECT_EQ(failuresOf(honest, 20), 0);
  EXPECT_EQ(statsOf("c", backends_[0]).established, 20u);
  EXPECT_EQ(lost(SM_COUNTER_CONN_LOST), uncounted);
  tenant->reset();
  EXPECT_TRUE(eventually([&] { return datapath_->maps().globals[0].conn_overflow_live == 0; }));
  std::uint32_t held = 0;
  for (std::uint32_t i = 0; i < datapath_->maps().clients.size(); ++i) {
    held += datapath_->maps().clients[i].records;
  }
  EXPECT_EQ(held, 0u) << "and the share is given back";
}

}  // namespace
}  // namespace sockmesh::test
