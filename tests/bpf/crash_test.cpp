// SPDX-License-Identifier: Apache-2.0
// Proof 2: nothing half visible. The agent is killed at write n of an update, for every n; each VIP
// resolves to its old or its new endpoint set, whole, and a restart converges.
#include <sys/vfs.h>

#include <sys/wait.h>

#include <filesystem>

#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

// Ends the process instead of doing write number `fatal` (counted from 1).
class DyingStore final : public TableStore {
 public:
  DyingStore(TableStore& store, int fatal) : store_(store), left_(fatal) {}

  void reserve(const TableExtents& extents, Breather& breathe) override {
    store_.reserve(extents, breathe);
  }
  bool makeRoom(const TableExtents& extents, std::function<void()> ready) override {
    return store_.makeRoom(extents, std::move(ready));
  }
  void prepare(const TableExtents& extents) override { store_.prepare(extents); }
  Status writeCells(std::uint32_t first, std::span<const sm_cell> cells) override {
    die();
    return store_.writeCells(first, cells);
  }
  Status writeGroups(std::uint32_t first, std::span<const sm_group> groups) override {
    die();
    return store_.writeGroups(first, groups);
  }
  Status writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) override {
    die();
    return store_.writeDescriptor(index, descriptor);
  }
  Status resetEndpoint(std::uint32_t id) override {
    die();
    return store_.resetEndpoint(id);
  }
  Status resetCluster(std::uint32_t id) override {
    die();
    return store_.resetCluster(id);
  }
  Result<bool> withdraw(std::uint32_t endpointId) override {
    die();
    return store_.withdraw(endpointId);
  }
  Status relist(std::uint32_t endpointId) override {
    die();
    return store_.relist(endpointId);
  }
  Status publish(std::uint32_t serviceId, std::uint32_t descriptorIndex) override {
    die();
    return store_.publish(serviceId, descriptorIndex);
  }
  Status insertFrontend(const VipKey& key, std::uint32_t serviceId) override {
    die();
    return store_.insertFrontend(key, serviceId);
  }
  Status eraseFrontend(const VipKey& key) override {
    die();
    return store_.eraseFrontend(key);
  }
  Status writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) override {
    die();
    return store_.writeEndpoint(id, endpoint);
  }
  Status writeClusterLimits(std::uint32_t id, const LbCluster& cluster) override {
    die();
    return store_.writeClusterLimits(id, cluster);
  }
  Status writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) override {
    die();
    return store_.writeName(kind, id, name);
  }
  Status eraseName(sm_name_kind kind, std::uint32_t id) override {
    die();
    return store_.eraseName(kind, id);
  }
  std::uint32_t activeConnections(std::uint32_t endpointId) const override {
    return store_.activeConnections(endpointId);
  }

 private:
  void die() {
    if (--left_ == 0) _exit(137);
  }
  TableStore& store_;
  int left_;
};

using Resolved = std::map<VipKey, std::vector<std::vector<SocketAddress>>>;

Resolved resolve(const LbTables& tables) {
  Resolved out;
  for (const auto& [key, service] : tables.services) {
    for (const auto& group : service->groups) out[key].push_back(group->hosts);
  }
  return out;
}

class Crash : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    port_ = at("0.0.0.0:0");
    listener_ = std::move(listenOn(port_)).value();
  }

  std::string host(int n) const {
    return "127.0.1." + std::to_string(n) + ":" + std::to_string(port_.port);
  }

  TableBuilder before() const {
    return TableBuilder()
        .service("10.96.0.1:80", "kept", {host(1), host(2)})
        .service("10.96.0.2:80", "changed", {host(3), host(4), host(5)})
        .service("10.96.0.3:80", "removed", {host(6)})
        .random("[fd00::4]:80", "six", {host(7), host(8)})
        .service("10.96.0.5:80", "emptied", {host(9)})
        .leftAlone("10.96.0.6:80", "arriving", SM_REASON_UNSUPPORTED);
  }
  TableBuilder after() const {
    return TableBuilder()
        .service("10.96.0.1:80", "kept", {host(1), host(2)})
        .service("10.96.0.2:80", "changed", {host(4), host(10)})
        .random("[fd00::4]:80", "six", {host(8), host(11), host(12)})
        .service("10.96.0.5:80", "emptied", {})
        .service("10.96.0.6:80", "arriving", {host(13)})
        .service("10.96.0.7:80", "added", {host(14), host(3)});
  }

  // A new agent on what the last one left.
  void restart() {
    makeWriter(*grace_);
    adopted_ = writer_->adopt(image());
    EXPECT_TRUE(adopted_.errors.empty()) << adopted_.errors.front();
  }

  // An agent that dies at its write number `fatal`. False: it needs fewer writes.
  bool updateAndDie(const TableBuilder& tables, int fatal) {
    const pid_t child = fork();
    if (child == 0) {
      DyingStore dying(*store_, fatal);
      CountingStore counted(dying);
      IdRegistry ids;
      MapWriter writer(counted, ids, *grace_, datapath_->maps().maxServices);
      writer.adopt(image());
      const auto report = writer.apply(tables.build());
      _exit(report.errors.empty() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 137));
    return WEXITSTATUS(status) == 137;
  }

  // What the kernel holds. Checks that every VIP leads to a whole set of endpoints.
  Resolved inKernel() {
    Resolved out;
    const KernelImage held = image();
    EXPECT_TRUE(held.broken.empty()) << held.broken.front();
    for (const auto& [key, service] : held.services) {
      for (const auto& group : service.service->groups) out[key].push_back(group->hosts);
    }
    return out;
  }

  void expectOldOrNew(const Resolved& held, const Resolved& old, const Resolved& wanted, int n) {
    std::set<VipKey> keys;
    for (const auto* side : {&held, &old, &wanted}) {
      for (const auto& [key, hosts] : *side) keys.insert(key);
    }
    const auto of = [](const Resolved& side, const VipKey& key) {
      const auto found = side.find(key);
      return found == side.end() ? std::vector<std::vector<SocketAddress>>{} : found->second;
    };
    for (const VipKey& key : keys) {
      const auto now = of(held, key);
      EXPECT_TRUE(now == of(old, key) || now == of(wanted, key))
          << key.vip.toString() << " after death at write " << n;
    }
  }

  void expectConnects(const Resolved& held, int n) {
    for (const auto& [key, groups] : held) {
      if (groups.size() != 1 || groups[0].empty()) continue;
      const auto client = connectTo(key.vip.address());
      ASSERT_TRUE(client) << key.vip.toString() << " after death at write " << n;
      const auto reached = acceptedAt(listener_);
      EXPECT_NE(std::find(groups[0].begin(), groups[0].end(), reached), groups[0].end())
          << key.vip.toString() << " led to " << reached.toString();
    }
  }

  SocketAddress port_;
  UniqueFd listener_;
};

TEST_F(Crash, KilledAtEveryWriteEachVipIsWholeAndARestartConverges) {
  const Resolved old = resolve(*before().build());
  const Resolved wanted = resolve(*after().build());
  int n = 1;
  for (;; ++n) {
    apply(before());
    ASSERT_EQ(inKernel(), old);
    if (!updateAndDie(after(), n)) break;
    const Resolved held = inKernel();
    expectOldOrNew(held, old, wanted, n);
    expectConnects(held, n);
    if (HasFailure()) return;

    restart();
    apply(after());
    ASSERT_EQ(inKernel(), wanted) << "restart after death at write " << n;
    restart();
    EXPECT_EQ(adopted_.writes + writer_->apply(after().build()).writes, 0u)
        << "after death at write " << n;
  }
  std::printf("killed at each of %d writes\n", n - 1);
  EXPECT_GT(n, 30);
}

TEST_F(Crash, ARestartWithoutChangesWritesNothing) {
  apply(before());
  const KernelImage held = image();
  open();  // programs loaded and links updated anew, maps adopted
  EXPECT_TRUE(datapath_->adopted());
  EXPECT_EQ(adopted_.writes, 0u);
  EXPECT_EQ(writer_->apply(before().build()).writes, 0u);
  EXPECT_EQ(inKernel(), resolve(*before().build()));
  EXPECT_EQ(image().services.at({at("10.96.0.1:80"), Protocol::kTcp}).id,
            held.services.at({at("10.96.0.1:80"), Protocol::kTcp}).id);
}

TEST_F(Crash, CountersAndConnectionsSurviveARestart) {
  apply(before());
  const auto client = std::move(connectTo(at("10.96.0.3:80"))).value();
  const auto id = idOf("removed", host(6));
  open();
  EXPECT_EQ(idOf("removed", host(6)), id);
  EXPECT_EQ(statsOf("removed", host(6)).established, 1u);
  EXPECT_EQ(activeOf("removed", host(6)), 1u);
  EXPECT_EQ(peerOf(client.get()), at("10.96.0.3:80"));
}

// An endpoint's id is not given to another while a connection counts on it.
TEST_F(Crash, AnEndpointWithConnectionsKeepsItsIdUntilTheyEnd) {
  apply(before());
  auto client = std::move(connectTo(at("10.96.0.3:80"))).value();
  auto server = acceptOn(listener_);
  const auto id = idOf("removed", host(6));
  apply(after());
  restart();
  apply(after());
  EXPECT_EQ(store_->activeConnections(id), 1u);
  for (const auto& [other, endpoint] : image().endpoints) {
    if (other != id) continue;
    EXPECT_EQ(endpoint.endpoint.address, at(host(6)));
  }
  client.reset();
  server.reset();
  writer_->reap();
  EXPECT_FALSE(image().endpoints.contains(id));
}

// What fits keeps working, and what does not is named.
class FullTable : public Crash {
 protected:
  DatapathOptions options() const override {
    auto out = Crash::options();
    out.maxServices = 4;
    return out;
  }
};

TEST_F(FullTable, AFullTableIsReportedAndTheRestWorks) {
  TableBuilder many;
  for (int i = 1; i <= 6; ++i) {
    many.service("10.96.1." + std::to_string(i) + ":80", "c" + std::to_string(i), {host(i)});
  }
  const auto report = writer_->apply(many.build());
  ASSERT_EQ(report.errors.size(), 2u);
  EXPECT_NE(report.errors[0].find("10.96.1.5:80"), std::string::npos) << report.errors[0];
  EXPECT_EQ(report.servicesAdded, 4u);
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(connectTo(at("10.96.1." + std::to_string(i) + ":80"))) << i;
  }
  // There is room again: the next apply adds what was left out.
  TableBuilder fewer;
  for (int i = 3; i <= 6; ++i) {
    fewer.service("10.96.1." + std::to_string(i) + ":80", "c" + std::to_string(i), {host(i)});
  }
  EXPECT_TRUE(writer_->apply(fewer.build()).errors.empty());
  ASSERT_TRUE(connectTo(at("10.96.1.6:80")));
}

TEST_F(Crash, AnAgentKilledWhileItPinnedItsFirstMapsIsFollowedByOneThatStartsAfresh) {
  writer_.reset();
  store_.reset();
  datapath_.reset();
  const PinPath pins(sandbox_->bpffs());
  std::filesystem::remove_all(pins.links());
  ASSERT_EQ(unlink((pins.maps() + "/" + kMapNames.back()).c_str()), 0);
  open();
  ASSERT_TRUE(datapath_) << "see above";
  EXPECT_FALSE(datapath_->adopted());
  apply(before());
  EXPECT_TRUE(connectTo(at("10.96.0.1:80")));
}

TEST_F(Crash, CleanupRemovesEveryTrace) {
  apply(before());
  ASSERT_TRUE(connectTo(at("10.96.0.1:80")));
  writer_.reset();
  store_.reset();
  datapath_.reset();
  ASSERT_TRUE(connectTo(at("10.96.0.1:80"))) << "the datapath outlives its agent";
  ASSERT_TRUE(Datapath::cleanup(sandbox_->bpffs()));
  EXPECT_FALSE(connectTo(at("10.96.0.1:80")));
  EXPECT_FALSE(KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadOnly));
  struct statfs mounted {};
  ASSERT_EQ(statfs(sandbox_->bpffs().c_str(), &mounted), 0);
  EXPECT_NE(static_cast<std::uint64_t>(mounted.f_type), 0xcafe4a11ULL) << "the mount was ours";
  EXPECT_TRUE(Datapath::cleanup(sandbox_->bpffs())) << "nothing there is no error";
}

}  // namespace
}  // namespace sockmesh::test
