// SPDX-License-Identifier: Apache-2.0
// Fixture: the real programs on a cgroup of the test's own, and a writer on their maps.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "datapath/datapath.h"
#include "support/net.h"
#include "support/sandbox.h"
#include "support/tables.h"
#include "writer/kernel_store.h"
#include "writer/map_writer.h"

namespace sockmesh::test {

class DatapathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto sandbox = Sandbox::create();
    ASSERT_TRUE(sandbox) << sandbox.error().message();
    sandbox_ = std::move(sandbox).value();
    open();
  }

  virtual DatapathOptions options() const {
    DatapathOptions out;
    out.cgroupRoot = sandbox_->cgroup();
    out.bpffsRoot = sandbox_->bpffs();
    out.maxServices = 4096;
    out.maxConnections = 4096;
    return out;
  }

  // Opens the datapath (again) and adopts the maps, as a starting agent does.
  void open() {
    writer_.reset();
    store_.reset();
    datapath_.reset();
    auto opened = Datapath::open(options());
    ASSERT_TRUE(opened) << opened.error().message();
    datapath_ = std::move(opened).value();
    auto grace = BlockingGracePeriod::create();
    ASSERT_TRUE(grace) << grace.error().message();
    grace_ = std::move(grace).value();
    store_ = std::make_unique<KernelStore>(datapath_->maps(), datapath_->ejections());
    makeWriter(*grace_);
    adopted_ = writer_->adopt(image());
    EXPECT_TRUE(adopted_.errors.empty()) << adopted_.errors.front();
  }

  // A writer that knows nothing yet of what the kernel holds.
  void makeWriter(GracePeriod& grace) {
    writer_.reset();
    ids_ = std::make_unique<IdRegistry>();
    counted_ = std::make_unique<CountingStore>(*store_);
    writer_ = std::make_unique<MapWriter>(*counted_, *ids_, grace, datapath_->maps().maxServices);
  }

  KernelImage image() {
    auto read = KernelImage::read(datapath_->maps());
    EXPECT_TRUE(read) << read.error().message();
    return std::move(read).value();
  }

  WriteReport apply(const TableBuilder& tables) {
    auto report = writer_->apply(tables.build());
    EXPECT_TRUE(report.errors.empty()) << report.errors.front();
    return report;
  }

  std::uint32_t idOf(const std::string& cluster, const std::string& endpoint) {
    return ids_->endpointId(cluster, at(endpoint));
  }
  sm_endpoint_stats statsOf(const std::string& cluster, const std::string& endpoint) {
    return sumEndpointStats(datapath_->maps(), idOf(cluster, endpoint));
  }
  std::uint32_t activeOf(const std::string& cluster, const std::string& endpoint) {
    return store_->activeConnections(idOf(cluster, endpoint));
  }
  // Records in use, in the array.
  std::uint32_t records() {
    std::uint32_t used = 0;
    const auto& connections = datapath_->maps().connections;
    for (std::uint32_t i = 0; i < connections.size(); ++i) {
      used += connections[i].cookie != 0 ? 1 : 0;
    }
    return used;
  }

  // One pass of the agent's over all records, after a grace period.
  ConnectionSweeper::Turn sweep() {
    ConnectionSweeper sweeper = datapath_->sweeper();
    ConnectionSweeper::Turn sum;
    grace_->after([] {});
    while (!sum.last) {
      const auto turn = sweeper.turn();
      EXPECT_TRUE(turn) << turn.error().message();
      if (!turn) break;
      sum = {turn->last, sum.gone + turn->gone, sum.ended + turn->ended};
    }
    return sum;
  }

  std::unique_ptr<Sandbox> sandbox_;
  std::unique_ptr<Datapath> datapath_;
  std::unique_ptr<GracePeriod> grace_;
  std::unique_ptr<KernelStore> store_;
  std::unique_ptr<CountingStore> counted_;
  std::unique_ptr<IdRegistry> ids_;
  std::unique_ptr<MapWriter> writer_;
  WriteReport adopted_;
};

}  // namespace sockmesh::test
