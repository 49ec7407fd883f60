// SPDX-License-Identifier: Apache-2.0
// What is written by what changed is what a fresh pass over everything would make: over random
// histories with skipped snapshots, passes that wait for room, writes that fail, services that are
// held, and restarts.
#include <algorithm>
#include <random>

#include "lb/compiler.h"
#include "support/datapath_test.h"
#include "unit/lb/random_history.h"

namespace sockmesh::test {
namespace {

// The kernel's store, of which some writes fail.
class FailingStore final : public TableStore {
 public:
  FailingStore(TableStore& inner, std::uint32_t seed) : inner_(inner), random_(seed) {}
  void failPercent(std::uint32_t percent) { percent_ = percent; }

  void reserve(const TableExtents& extents, Breather& breathe) override {
    inner_.reserve(extents, breathe);
  }
  bool makeRoom(const TableExtents& extents, std::function<void()> ready) override {
    return inner_.makeRoom(extents, std::move(ready));
  }
  void prepare(const TableExtents& extents) override { inner_.prepare(extents); }
  Status writeCells(std::uint32_t first, std::span<const sm_cell> cells) override {
    return fails() ? failure() : inner_.writeCells(first, cells);
  }
  Status writeGroups(std::uint32_t first, std::span<const sm_group> groups) override {
    return fails() ? failure() : inner_.writeGroups(first, groups);
  }
  Status writeDescriptor(std::uint32_t index, const sm_descriptor& descriptor) override {
    return fails() ? failure() : inner_.writeDescriptor(index, descriptor);
  }
  Status resetEndpoint(std::uint32_t id) override {
    return fails() ? failure() : inner_.resetEndpoint(id);
  }
  Status resetCluster(std::uint32_t id) override {
    return fails() ? failure() : inner_.resetCluster(id);
  }
  Result<bool> withdraw(std::uint32_t id) override { return inner_.withdraw(id); }
  Status relist(std::uint32_t id) override { return inner_.relist(id); }
  Status publish(std::uint32_t service, std::uint32_t descriptor) override {
    return inner_.publish(service, descriptor);
  }
  Status insertFrontend(const VipKey& key, std::uint32_t service) override {
    return fails() ? failure() : inner_.insertFrontend(key, service);
  }
  Status eraseFrontend(const VipKey& key) override {
    return fails() ? failure() : inner_.eraseFrontend(key);
  }
  Status writeEndpoint(std::uint32_t id, const sm_endpoint& endpoint) override {
    return inner_.writeEndpoint(id, endpoint);
  }
  Status writeClusterLimits(std::uint32_t id, const LbCluster& cluster) override {
    return fails() ? failure() : inner_.writeClusterLimits(id, cluster);
  }
  Status writeName(sm_name_kind kind, std::uint32_t id, const std::string& name) override {
    return fails() ? failure() : inner_.writeName(kind, id, name);
  }
  Status eraseName(sm_name_kind kind, std::uint32_t id) override {
    return inner_.eraseName(kind, id);
  }
  std::uint32_t activeConnections(std::uint32_t id) const override {
    return inner_.activeConnections(id);
  }

 private:
  bool fails() { return random_() % 100 < percent_; }
  static Status failure() { return Error::fromErrno("a test", ENOMEM); }

  TableStore& inner_;
  std::mt19937 random_;
  std::uint32_t percent_ = 0;
};

using Services = std::map<VipKey, std::shared_ptr<const LbService>>;

class IncrementalWrites : public DatapathTest {
 protected:
  DatapathOptions options() const override {
    DatapathOptions out = DatapathTest::options();
    out.maxServices = maxServices_;
    return out;
  }

  // A new agent: what it knows is what the kernel has.
  void restart() {
    open();
    writer_.reset();
    failing_ = std::make_unique<FailingStore>(*store_, random_());
    ids_ = std::make_unique<IdRegistry>();
    counted_ = std::make_unique<CountingStore>(*failing_);
    writer_ = std::make_unique<MapWriter>(*counted_, *ids_, *grace_, maxServices_);
    EXPECT_TRUE(writer_->adopt(image()).errors.empty());
    compiler_ = std::make_unique<Compiler>(CompilerOptions{});
    changes_ = Changes::everything();
  }

  bool chance(std::uint32_t percent) { return random_() % 100 < percent; }
  std::string someName(const char* prefix, std::uint32_t count) {
    return prefix + std::to_string(random_() % count);
  }
  void changeUnknowns() {
    if (chance(80)) return;
    unknowns_ = {};
    if (chance(30)) unknowns_.clusters.insert(someName("c", 4));
    if (chance(30)) unknowns_.listeners.insert(someName("l", 6));
    if (chance(10)) unknowns_.anyListener = true;
  }

  // By looking at everything: `fresh`, with what is held as the kernel has it.
  Services expected(const LbTables& fresh, const KernelImage& kernel) const {
    Services out;
    for (const auto& [key, service] : fresh.services) {
      const auto known = kernel.services.find(key);
      auto clusters = clustersToWaitFor(*service, unknowns_);
      const auto& inKernel = known == kernel.services.end() ? nullptr : known->second.service;
      if (inKernel) {
        std::erase_if(clusters, [&](const auto& name) { return leavesAlone(*inKernel, name); });
      }
      out[key] = inKernel && decides(*inKernel) && !clusters.empty() ? inKernel : service;
    }
    for (const auto& [key, image] : kernel.services) {
      const bool unknown =
          unknowns_.anyListener || unknowns_.listeners.contains(image.service->name);
      if (!fresh.services.contains(key) && unknown) out[key] = image.service;
    }
    return out;
  }

  // Every VIP in the kernel is as expected; where some did not fit or failed, as before.
  void check(const Services& wanted, const KernelImage& before, bool whole) {
    const KernelImage now = image();
    EXPECT_TRUE(now.broken.empty()) << now.broken.front();
    const auto same = [](const auto& map, const VipKey& key, const LbService& service) {
      const auto found = map.find(key);
      return found != map.end() && *found->second == service;
    };
    Services old;
    for (const auto& [key, image] : before.services) old[key] = image.service;
    for (const auto& [key, image] : now.services) {
      const bool good = same(wanted, key, *image.service);
      ASSERT_TRUE(good || (!whole && same(old, key, *image.service))) << key.vip.toString();
    }
    ASSERT_TRUE(!whole || now.services.size() == wanted.size());
  }

  // What the kernel has of the endpoints is what the clusters say.
  void checkClusters(const LbTables& tables) {
    std::map<std::pair<std::string, SocketAddress>, LbEndpoint> listed;
    for (const auto& [id, endpoint] : image().endpoints) {
      if (!endpoint.withdrawn) {
        listed[{endpoint.cluster, endpoint.endpoint.address}] = endpoint.endpoint;
      }
    }
    std::size_t count = 0;
    for (const auto& [name, cluster] : tables.clusters) {
      for (const LbEndpoint& endpoint : cluster->endpoints) {
        const auto found = listed.find({name, endpoint.address});
        ASSERT_NE(found, listed.end()) << name << " " << endpoint.address.toString();
        EXPECT_EQ(found->second.weight, endpoint.weight);
        EXPECT_EQ(found->second.health, endpoint.health);
        EXPECT_EQ(found->second.priority, endpoint.priority);
        ++count;
      }
    }
    EXPECT_EQ(listed.size(), count) << "nothing else is listed";
  }

  void step(RandomHistory& history, Nanos now);
  void run(std::uint32_t seed);

  std::uint32_t maxServices_ = 64;
  std::mt19937 random_{1};
  std::unique_ptr<FailingStore> failing_;
  std::unique_ptr<Compiler> compiler_;
  Changes changes_;
  Unknowns unknowns_;
};

void IncrementalWrites::step(RandomHistory& history, Nanos now) {
  changes_.merge(history.step());
  if (chance(20)) return;  // the snapshot is skipped
  const auto tables =
      compiler_->compile(history.snapshot(), history.overlay(), std::exchange(changes_, {}), now);
  if (chance(15)) {  // there is no room yet, and the pass is put off
    Breather never;
    (void)writer_->makeRoom(
        tables, [] {}, never);
    return;
  }
  changeUnknowns();
  const auto fresh = Compiler({}).compile(history.snapshot(), history.overlay(), now);
  const KernelImage before = image();
  const Services wanted = expected(*fresh, before);
  failing_->failPercent(chance(30) ? 20 : 0);
  auto report = writer_->apply(tables, unknowns_);
  failing_->failPercent(0);
  ASSERT_EQ(report.tables->services.size(), wanted.size());
  for (const auto& [key, service] : wanted) ASSERT_EQ(*report.tables->services.at(key), *service);
  if (!report.errors.empty()) {
    check(wanted, before, false);
    report = writer_->apply(tables, unknowns_);
  }
  const bool full = wanted.size() > maxServices_;
  ASSERT_EQ(report.errors.empty(), !full) << (full ? "" : report.errors.front());
  check(wanted, before, !full);
  ASSERT_EQ(image().services.size(), std::min<std::size_t>(wanted.size(), maxServices_));
  checkClusters(*report.tables);
}

void IncrementalWrites::run(std::uint32_t seed) {
  SCOPED_TRACE(seed);
  random_.seed(seed);
  RandomHistory history(seed);
  Nanos now = std::chrono::seconds(1);
  unknowns_ = {};
  restart();
  for (int i = 0; i < 50 && !HasFatalFailure(); ++i) {
    SCOPED_TRACE(i);
    now += std::chrono::milliseconds(700);
    if (chance(5)) restart();
    step(history, now);
  }
  // Nothing is left of what was there once, whatever failed on the way.
  EXPECT_TRUE(writer_->apply(std::make_shared<const LbTables>()).errors.empty());
  EXPECT_TRUE(writer_->apply(std::make_shared<const LbTables>()).errors.empty());
  const KernelImage end = image();
  EXPECT_TRUE(end.services.empty());
  EXPECT_TRUE(end.endpoints.empty());
  EXPECT_TRUE(end.clusterNames.empty());
}

TEST_F(IncrementalWrites, TheKernelHasWhatAFreshPassWouldMake) {
  for (std::uint32_t seed = 3; seed < 7 && !HasFatalFailure(); ++seed) run(seed);
}

// Two of the six VIPs never fit: the others change all the same, and what leaves makes room.
class FullMap : public IncrementalWrites {
 protected:
  FullMap() { maxServices_ = 4; }
};

TEST_F(FullMap, WhatFitsIsServed) {
  for (std::uint32_t seed = 20; seed < 22 && !HasFatalFailure(); ++seed) run(seed);
}

}  // namespace
}  // namespace sockmesh::test
