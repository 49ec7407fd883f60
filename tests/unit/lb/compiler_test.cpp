// SPDX-License-Identifier: Apache-2.0
// What a listener, its clusters and their endpoints become.
#include "lb/compiler.h"

#include <gtest/gtest.h>

#include "lb/cell_table.h"
#include "lb/share.h"
#include "unit/lb/build.h"

namespace sockmesh {
namespace {

using namespace test;

constexpr Nanos kNow = std::chrono::seconds(1);

LoadAssignment threeHosts() {
  return assignment({locality("a", 0, 1, 3, 3)});
}

std::vector<std::uint32_t> words(const CellTable& table) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t i = 0; i < table.size; ++i) all.push_back(wordAt(table, i));
  return all;
}

TEST(Compiler, EmptySnapshotGivesEmptyTables) {
  Compiler compiler({});
  const auto tables = compiler.compile({}, {}, kNow);
  EXPECT_TRUE(tables->services.empty());
  EXPECT_TRUE(tables->clusters.empty());
  EXPECT_TRUE(tables->conflicts->empty());
  EXPECT_EQ(compiler.nextChange(), std::nullopt);
}

// A part of a listener that makes no VIP, and keeps `vips` out of ranges.
void leaveOut(Snapshot& snapshot, const std::string& name, const std::vector<std::string>& vips) {
  auto left = std::make_shared<LeftAlone>();
  left->name = name;
  for (const std::string& vip : vips) left->holes.push_back(Vip::parse(vip).value());
  snapshot.leftAlone[name] = std::move(left);
}

VipKey tcp(const std::string& vip) {
  return {Vip::parse(vip).value(), Protocol::kTcp};
}

TEST(Compiler, WhatIsLeftOutInsideARangeIsLeftAlone) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts()).listen("l", {"10.1.0.0/16:80"}, {{"c", 1, {}}});
  Snapshot snapshot = builder.snapshot();
  leaveOut(snapshot, "out", {"10.1.2.3:80", "10.1.4.0/24:80", "10.2.0.1:80", "10.1.2.3:81"});
  Compiler compiler({});
  const auto tables = compiler.compile(snapshot, {}, kNow);
  ASSERT_EQ(tables->services.size(), 3U);
  for (const char* vip : {"10.1.2.3:80", "10.1.4.0/24:80"}) {
    const auto found = tables->services.find(tcp(vip));
    ASSERT_NE(found, tables->services.end()) << vip;
    EXPECT_EQ(found->second->name, "out");
    EXPECT_EQ(found->second->groups[0]->policy, SM_POLICY_LEAVE_ALONE);
    EXPECT_EQ(found->second->groups[0]->reason, SM_REASON_LEFT_OUT);
  }
  EXPECT_EQ(compiler.compile(snapshot, {}, kNow), tables) << "nothing changed";
}

TEST(Compiler, AHoleComesAndGoesWithTheRange) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts());
  Snapshot snapshot = builder.snapshot();
  leaveOut(snapshot, "out", {"10.1.2.3:80"});
  Compiler compiler({});
  EXPECT_TRUE(compiler.compile(snapshot, {}, kNow)->services.empty());
  const Snapshot range = builder.listen("l", {"10.1.0.0/16:80"}, {{"c", 1, {}}}).snapshot();
  Changes changed;
  changed.listeners = {"l"};
  snapshot.listeners = range.listeners;
  auto tables = compiler.compile(snapshot, {}, changed, kNow);
  EXPECT_TRUE(tables->services.contains(tcp("10.1.2.3:80")));
  EXPECT_TRUE(tables->changed.services.contains(tcp("10.1.2.3:80")));
  snapshot.listeners.erase("l");
  tables = compiler.compile(snapshot, {}, changed, kNow);
  EXPECT_TRUE(tables->services.empty());
}

TEST(Compiler, AServiceComesBeforeAHole) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts())
      .listen("l", {"10.1.0.0/16:80"}, {{"c", 1, {}}})
      .listen("m", {"10.1.2.3:80"}, {{"c", 1, {}}});
  Snapshot snapshot = builder.snapshot();
  leaveOut(snapshot, "out", {"10.1.2.3:80"});
  Compiler compiler({});
  EXPECT_EQ(compiler.compile(snapshot, {}, kNow)->services.find(tcp("10.1.2.3:80"))->second->name,
            "m");
}

TEST(Compiler, OfTwoListenersWithOneRangeOneOwnsIt) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts())
      .listen("l", {"10.1.0.0/16:80"}, {{"c", 1, {}}})
      .listen("m", {"10.1.0.0/16:80", "10.1.0.0/24:80"}, {{"c", 1, {}}});
  Compiler compiler({});
  const auto tables = compiler.compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(tables->services.find(tcp("10.1.0.0/16:80"))->second->name, "l");
  EXPECT_EQ(tables->services.find(tcp("10.1.0.0/24:80"))->second->name, "m");
  ASSERT_EQ(tables->conflicts->size(), 1U);
  EXPECT_EQ(tables->conflicts->front().reason, "VIP 10.1.0.0/16:80/tcp belongs to listener l");
}

TEST(Compiler, RoundRobinGoesThroughTheHostsInOrder) {
  const auto service = serviceOf(cluster("c"), threeHosts());
  EXPECT_EQ(service->name, "l");
  EXPECT_EQ(service->vip, at(kVip));
  ASSERT_EQ(service->groups.size(), 1U);
  EXPECT_EQ(service->pickSize, 1U);
  EXPECT_EQ(service->pick, nullptr);
  const LbGroup& group = *service->groups[0];
  EXPECT_EQ(group.policy, SM_POLICY_ROUND_ROBIN);
  EXPECT_EQ(group.cluster, "c");
  EXPECT_EQ(group.locality->zone, "a");
  EXPECT_EQ(group.hosts, (std::vector{host(1), host(2), host(3)}));
  EXPECT_EQ(words(*group.table), (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST(Compiler, WeightedRoundRobinIsExactOverOneCycle) {
  LocalityEndpoints group;
  group.endpoints = {endpoint(1, 5), endpoint(2, 3), endpoint(3, 2)};
  const auto service = serviceOf(cluster("c"), assignment({group}));
  EXPECT_EQ(words(*service->groups[0]->table),
            (std::vector<std::uint32_t>{0, 1, 0, 2, 0, 1, 0, 2, 1, 0}));
}

TEST(Compiler, RandomIgnoresEndpointWeights) {
  LocalityEndpoints group;
  group.endpoints = {endpoint(1, 50), endpoint(2, 1)};
  const auto service = serviceOf(cluster("c", LbPolicy::kRandom), assignment({group}));
  EXPECT_EQ(service->groups[0]->policy, SM_POLICY_RANDOM);
  EXPECT_DOUBLE_EQ(shareOfHost(shareOf(*service), 1), 0.5);
}

TEST(Compiler, RandomGoesByEndpointWeightsWhereTheConfigurationSaysSo) {
  CompilerOptions options;
  options.weightedRandom = true;
  Compiler compiler(options);
  Cluster zones = cluster("c", LbPolicy::kRandom);
  zones.lb.localityMode = LocalityMode::kLocalityWeighted;
  LocalityEndpoints near = locality("a", 3, 1, 2, 2);
  near.endpoints[0].weight = 9;
  const SnapshotBuilder built = SnapshotBuilder()
                                    .put(zones, assignment({near, locality("b", 1, 3, 1, 1)}))
                                    .listen("l", {kVip}, {{"c", 1, {}}});
  const auto shares = shareOf(at(*compiler.compile(built.snapshot(), {}, kNow)));
  EXPECT_NEAR(shareOfHost(shares, 1), 0.75 * 0.9, 1e-9);
  EXPECT_NEAR(shareOfHost(shares, 2), 0.75 * 0.1, 1e-9);
  EXPECT_NEAR(shareOfHost(shares, 3), 0.25, 1e-9) << "localities keep their shares";
}

TEST(Compiler, UnhealthyHostsAreLeftOutUnlessTooFewRemain) {
  auto service = serviceOf(cluster("c"), assignment({locality("a", 0, 1, 3, 2)}));
  EXPECT_EQ(service->groups[0]->hosts, (std::vector{host(1), host(2)}));
  EXPECT_EQ(service->groups[0]->flags & SM_GROUP_PANIC, 0U);
  service = serviceOf(cluster("c"), assignment({locality("a", 0, 1, 3, 1)}));
  EXPECT_EQ(service->groups[0]->hosts.size(), 3U);
  EXPECT_NE(service->groups[0]->flags & SM_GROUP_PANIC, 0U);
}

TEST(Compiler, KnownAndEmptyIsRefused) {
  const auto service = serviceOf(cluster("c"), assignment({}));
  EXPECT_EQ(service->groups[0]->policy, SM_POLICY_REFUSE);
  EXPECT_EQ(service->groups[0]->reason, SM_REASON_NO_ENDPOINTS);
  EXPECT_EQ(service->groups[0]->cluster, "c");
  EXPECT_EQ(service->groups[0]->table, nullptr);
}

TEST(Compiler, NoneEligibleWithoutPanicIsRefused) {
  Cluster c = cluster("c");
  c.lb.healthyPanicThresholdPercent = 0;
  for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kRandom, LbPolicy::kLeastRequest,
                                LbPolicy::kMaglev, LbPolicy::kRingHash}) {
    c.lb.policy = policy;
    const auto service = serviceOf(c, assignment({locality("a", 0, 1, 3, 0)}));
    ASSERT_EQ(service->groups.size(), 1U);
    EXPECT_EQ(service->groups[0]->policy, SM_POLICY_REFUSE);
    EXPECT_EQ(service->groups[0]->reason, SM_REASON_NO_HEALTHY);
  }
}

TEST(Compiler, UnknownEndpointsAndClustersAreLeftAlone) {
  SnapshotBuilder builder;
  builder.put(cluster("waiting")).listen("l1", {"10.96.0.1:80"}, {{"waiting", 1, {}}});
  builder.listen("l2", {"10.96.0.2:80"}, {{"nowhere", 1, {}}});
  const auto tables = Compiler({}).compile(builder.snapshot(), {}, kNow);
  const LbGroup& waiting = *at(*tables, "10.96.0.1:80").groups[0];
  EXPECT_EQ(waiting.policy, SM_POLICY_LEAVE_ALONE);
  EXPECT_EQ(waiting.reason, SM_REASON_ENDPOINTS_UNKNOWN);
  const LbGroup& nowhere = *at(*tables, "10.96.0.2:80").groups[0];
  EXPECT_EQ(nowhere.policy, SM_POLICY_LEAVE_ALONE);
  EXPECT_EQ(nowhere.reason, SM_REASON_CLUSTER_UNKNOWN);
  // Both have a name to be counted under.
  EXPECT_TRUE(tables->clusters.at("nowhere")->endpoints.empty());
  EXPECT_TRUE(tables->clusters.at("waiting")->endpoints.empty());
}

// Envoy closes connections to a cluster that does not exist; of a split only its part.
TEST(Compiler, AClusterThatTheControlPlaneDoesNotHaveIsRefused) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), assignment({locality("a", 0, 1, 1, 1)}));
  builder.listen("l1", {"10.96.0.1:80"}, {{"c", 3, {}}, {"nowhere", 1, {}}});
  builder.listen("l2", {"10.96.0.2:80"}, {{"nowhere", 1, {}}});
  Snapshot snapshot = builder.snapshot();
  Compiler compiler({});
  const auto unknown = compiler.compile(snapshot, {}, kNow);
  EXPECT_EQ(at(*unknown, "10.96.0.2:80").groups[0]->policy, SM_POLICY_LEAVE_ALONE);
  EXPECT_EQ(at(*unknown, "10.96.0.2:80").groups[0]->reason, SM_REASON_CLUSTER_UNKNOWN);

  snapshot.clustersListed = true;
  const auto tables = compiler.compile(snapshot, {}, kNow);
  for (const auto* service : {&at(*tables, "10.96.0.1:80"), &at(*tables, "10.96.0.2:80")}) {
    const LbGroup& nowhere = *service->groups.back();
    EXPECT_EQ(nowhere.policy, SM_POLICY_REFUSE);
    EXPECT_EQ(nowhere.reason, SM_REASON_CLUSTER_ABSENT);
    EXPECT_EQ(nowhere.cluster, "nowhere");
  }
  EXPECT_NEAR(shareOfHost(shareOf(at(*tables, "10.96.0.1:80")), 1), 0.75, 1e-6);
}

TEST(Compiler, ClustersThatCannotBeHonouredAreLeftAloneByReason) {
  const std::vector<std::pair<LeftAloneReason, sm_reason>> reasons = {
      {LeftAloneReason::kTls, SM_REASON_TLS},
      {LeftAloneReason::kOriginalDst, SM_REASON_ORIGINAL_DST},
      {LeftAloneReason::kBlackHole, SM_REASON_BLACK_HOLE},
      {LeftAloneReason::kUnsupportedDiscovery, SM_REASON_UNSUPPORTED}};
  for (const auto& [given, expected] : reasons) {
    Cluster c = cluster("c");
    c.leaveAlone = given;
    const auto service = serviceOf(c, threeHosts());
    EXPECT_EQ(service->groups[0]->policy, SM_POLICY_LEAVE_ALONE);
    EXPECT_EQ(service->groups[0]->reason, expected);
  }
  const auto service = serviceOf(cluster("c", LbPolicy::kClusterProvided), threeHosts());
  EXPECT_EQ(service->groups[0]->reason, SM_REASON_ORIGINAL_DST);
}

TEST(Compiler, StaticClusterUsesItsInlineEndpoints) {
  Cluster c = cluster("c");
  c.type = DiscoveryType::kStatic;
  c.edsName = "";
  SnapshotBuilder builder;
  builder.put(c).listen("l", {kVip}, {{"c", 1, {}}});
  auto tables = Compiler({}).compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(at(*tables).groups[0]->policy, SM_POLICY_REFUSE);
  c.inlineAssignment = std::make_shared<LoadAssignment>(threeHosts());
  builder.put(c);
  tables = Compiler({}).compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(at(*tables).groups[0]->hosts.size(), 3U);
}

TEST(Compiler, SplitGivesEachLegItsShareAndAnEmptyLegItsRefusals) {
  const auto service =
      serviceOf({{cluster("c"), assignment({}), 25, {}}, {cluster("d"), threeHosts(), 75, {}}});
  EXPECT_EQ(service->pickSize, 2U);
  const auto shares = shareOf(*service);
  EXPECT_NEAR(shares.refused, 0.25, 1e-9);
  for (int i = 1; i <= 3; ++i) EXPECT_NEAR(shareOfHost(shares, i, "d"), 0.25, 1e-9);
}

TEST(Compiler, AListenersOwnAddressComesBeforeADomain) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts());
  builder.listen("a", {"10.96.0.1:80"}, {{"c", 1, {}}});
  builder.listen("b", {"10.96.0.1:80"}, {{"c", 1, {}}});
  Snapshot snapshot = builder.snapshot();
  auto domain = std::make_shared<Listener>(*snapshot.listeners.at("a"));
  domain->source = VipSource::kDomain;
  domain->needsLayer7 = {"timeout: requests are not timed"};
  snapshot.listeners["a"] = domain;
  Compiler compiler({});
  const auto tables = compiler.compile(snapshot, {}, kNow);
  EXPECT_EQ(at(*tables, "10.96.0.1:80").name, "b");
  ASSERT_EQ(tables->conflicts->size(), 1U);
  EXPECT_EQ(tables->conflicts->front().name, "a");
  // Without the other one the VIP is the domain's.
  snapshot.listeners.erase("b");
  const auto alone = compiler.compile(snapshot, {}, kNow);
  EXPECT_EQ(at(*alone, "10.96.0.1:80").name, "a");
  EXPECT_NE(at(*alone, "10.96.0.1:80").flags & SM_DESCRIPTOR_NEEDS_L7, 0U);
}

TEST(Compiler, FirstListenerByNameOwnsAVip) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts());
  builder.listen("b", {"10.96.0.1:80", "10.96.0.2:80"}, {{"c", 1, {}}});
  builder.listen("a", {"10.96.0.1:80"}, {{"c", 1, {}}});
  const auto tables = Compiler({}).compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(at(*tables, "10.96.0.1:80").name, "a");
  EXPECT_EQ(at(*tables, "10.96.0.2:80").name, "b");
  ASSERT_EQ(tables->conflicts->size(), 1U);
  EXPECT_EQ(tables->conflicts->at(0).name, "b");
  EXPECT_EQ(tables->conflicts->at(0).reason, "VIP 10.96.0.1:80/tcp belongs to listener a");
}

TEST(Compiler, AClustersEndpointsAreInMemoryOnce) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), assignment({locality("a", 0, 1, 3, 3)}));
  builder.listen("l", {kVip}, {{"c", 1, {}}});
  const Snapshot& snapshot = builder.snapshot();
  const auto tables = Compiler({}).compile(snapshot, {}, std::chrono::seconds(1));
  const LbEndpoints& endpoints = tables->clusters.at("c")->endpoints;
  EXPECT_EQ(endpoints.assignment(), snapshot.assignmentOf(*snapshot.clusters.at("c")));
  EXPECT_EQ(endpoints.size(), 3U);
}

TEST(Compiler, ListsAllEndpointsOfACluster) {
  LocalityEndpoints far = locality("z", 7, 4, 1, 0, 1);
  far.endpoints[0].weight = 9;
  const auto tables =
      compileLegs({{cluster("c"), assignment({locality("a", 0, 1, 1, 1), far}), 1, {}}});
  const LbEndpoints& listed = tables->clusters.at("c")->endpoints;
  const std::vector<LbEndpoint> endpoints(listed.begin(), listed.end());
  ASSERT_EQ(endpoints.size(), 2U);
  EXPECT_EQ(endpoints[1].address, host(4));
  EXPECT_EQ(endpoints[1].locality->zone, "z");
  EXPECT_EQ(endpoints[1].priority, 1U);
  EXPECT_EQ(endpoints[1].weight, 9U);
  EXPECT_EQ(endpoints[1].health, EdsHealth::kUnhealthy);
}

TEST(Compiler, EjectedHostsCountAsUnhealthy) {
  HealthOverlay overlay;
  overlay.byCluster["c"][host(2)].ejected = true;
  overlay.byCluster["other"][host(1)].ejected = true;
  const auto service =
      serviceOf({{cluster("c"), assignment({locality("a", 0, 1, 3, 3)}), 1, {}}}, false, overlay);
  EXPECT_EQ(service->groups[0]->hosts, (std::vector{host(1), host(3)}));
}

TEST(Compiler, OneHostsChangeRebuildsItsClusterAlone) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts()).put(cluster("d"), threeHosts());
  builder.listen("lc", {"10.96.0.1:80"}, {{"c", 1, {}}});
  builder.listen("ld", {"10.96.0.2:80"}, {{"d", 1, {}}});
  Compiler compiler({});
  const auto before = compiler.compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(at(*before, "10.96.0.1:80").groups[0]->table,
            at(*before, "10.96.0.2:80").groups[0]->table)
      << "equal tables of two clusters are one";

  const auto same = compiler.compile(builder.snapshot(), {}, kNow);
  EXPECT_EQ(before->services, same->services);
  EXPECT_EQ(before->clusters, same->clusters);

  HealthOverlay overlay;
  overlay.byCluster["c"][host(2)].ejected = true;
  const auto after = compiler.compile(builder.snapshot(), overlay, kNow);
  const VipKey c{at("10.96.0.1:80"), Protocol::kTcp};
  const VipKey d{at("10.96.0.2:80"), Protocol::kTcp};
  EXPECT_NE(before->services.at(c), after->services.at(c));
  EXPECT_EQ(before->services.at(d), after->services.at(d));
  EXPECT_EQ(before->clusters, after->clusters) << "an ejection is no endpoint's property";

  // The same endpoints again, in new objects: nothing changed.
  builder.put(cluster("d"), threeHosts()).put(cluster("c"), threeHosts());
  builder.listen("ld", {"10.96.0.2:80"}, {{"d", 1, {}}});
  const auto again = compiler.compile(builder.snapshot(), overlay, kNow);
  EXPECT_EQ(after->services, again->services);
  EXPECT_EQ(after->clusters, again->clusters);
}

TEST(Compiler, FollowsWhatIsAddedAndRemoved) {
  SnapshotBuilder builder;
  builder.put(cluster("c"), threeHosts()).listen("l", {kVip}, {{"c", 1, {}}});
  Compiler compiler({});
  EXPECT_EQ(compiler.compile(builder.snapshot(), {}, kNow)->services.size(), 1U);
  const auto gone = compiler.compile({}, {}, kNow);
  EXPECT_TRUE(gone->services.empty());
  EXPECT_TRUE(gone->clusters.empty());
  EXPECT_EQ(compiler.compile(builder.snapshot(), {}, kNow)->services.size(), 1U);
}

}  // namespace
}  // namespace sockmesh
