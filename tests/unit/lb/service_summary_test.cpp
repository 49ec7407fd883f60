// SPDX-License-Identifier: Apache-2.0
#include "lb/service_summary.h"

#include <gtest/gtest.h>

#include "lb/cell_table.h"
#include "lb/table_check.h"

namespace sockmesh {
namespace {

std::shared_ptr<LbGroup> group(sm_policy policy, const std::string& cluster, std::uint32_t hosts) {
  auto made = std::make_shared<LbGroup>();
  made->policy = policy;
  made->cluster = cluster;
  for (std::uint32_t i = 0; i < hosts; ++i) {
    made->hosts.push_back({IpAddress::v4({10, 0, 0, static_cast<std::uint8_t>(i)}), 80});
  }
  return made;
}

std::shared_ptr<CellTable> words(const std::vector<std::uint32_t>& values) {
  return std::make_shared<CellTable>(wordTable(values));
}

TEST(ServiceSummary, OnePlainGroup) {
  LbService service;
  auto only = group(SM_POLICY_MAGLEV, "a", 2);
  only->table = words({0, 1, 1});
  service.groups = {only};
  ASSERT_TRUE(checkTables(service));
  const ServiceSummary summary = summarize(service);
  EXPECT_EQ(summary.state, ServiceState::kBalanced);
  EXPECT_EQ(summary.policies, std::vector<std::string>{"MAGLEV"});
  ASSERT_EQ(summary.clusters.size(), 1U);
  EXPECT_DOUBLE_EQ(summary.clusters[0].percent, 100);
  EXPECT_EQ(summary.hosts, 2U);
}

// 1 of 4 hashes to group 1, 3 of 4 to group 2: as priorities are picked by hash.
TEST(ServiceSummary, AGroupByHashPassesItsShareOn) {
  LbService service;
  auto byHash = group(SM_POLICY_BY_HASH, "", 0);
  byHash->table = words({1, 2, 2, 2});
  auto near = group(SM_POLICY_RING_HASH, "near", 1);
  auto far = group(SM_POLICY_RING_HASH, "far", 1);
  service.groups = {byHash, near, far};
  const ServiceSummary summary = summarize(service);
  ASSERT_EQ(summary.clusters.size(), 2U);
  EXPECT_EQ(summary.clusters[0].cluster, "far");
  EXPECT_DOUBLE_EQ(summary.clusters[0].percent, 75);
  EXPECT_DOUBLE_EQ(summary.clusters[1].percent, 25);
}

TEST(ServiceSummary, GroupsThatNobodyReachesDoNotCount) {
  LbService service;
  auto pick = std::make_shared<CellTable>();
  pick->cells.resize(2);
  for (sm_cell& cell : pick->cells) cell.alias = {UINT32_MAX, 0, 0, 0};
  pick->size = 2;
  service.groups = {group(SM_POLICY_LEAST_REQUEST, "a", 1), group(SM_POLICY_REFUSE, "b", 0)};
  service.pick = pick;
  service.pickSize = 2;
  EXPECT_EQ(summarize(service).state, ServiceState::kBalanced);
  pick->cells[1].alias = {UINT32_MAX, 1, 1, 0};
  EXPECT_EQ(summarize(service).state, ServiceState::kMixed);
}

TEST(CheckTables, FindsIndicesThatLeadNowhere) {
  LbService service;
  auto only = group(SM_POLICY_ROUND_ROBIN, "a", 2);
  only->table = words({0, 1, 2});
  service.groups = {only};
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: word[2]: 2 is not below 2");
  only->table = words({0, 1, 1});
  EXPECT_TRUE(checkTables(service));
  only->table = nullptr;
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: no table");
  only->hosts.clear();
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: no hosts");
  service.pickSize = 2;
  EXPECT_EQ(checkTables(service).error().message(), "pick_size: 2 of 1 groups");
}

TEST(CheckTables, ATornRingIsFound) {
  LbService service;
  auto ring = group(SM_POLICY_RING_HASH, "a", 1);
  ring->ringShift = 62;
  auto table = std::make_shared<CellTable>();
  table->cells.resize(3);  // four bucket words, two ring cells
  table->size = 2;
  ring->table = table;
  service.groups = {ring};
  EXPECT_TRUE(checkTables(service));
  table->cells[2].ring.host = 1;
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: ring[2]: 1 is not below 1");
  ring->ringShift = 0;
  EXPECT_EQ(checkTables(service).error().message(), "groups[0]: ring_shift: 0");
}

}  // namespace
}  // namespace sockmesh
