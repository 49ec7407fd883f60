// SPDX-License-Identifier: Apache-2.0
#include "sources/udp_services.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

SocketAddress at(const std::string& text) {
  return SocketAddress::parse(text).value();
}

const UdpService kDns{at("10.96.0.10:53"), "dns", 53};
constexpr const char* kListener = "udp_services/10.96.0.10:53";
constexpr const char* kCluster = "dns/udp:53";

std::shared_ptr<const LoadAssignment> assignment(const std::vector<std::string>& addresses) {
  auto made = std::make_shared<LoadAssignment>();
  made->clusterName = "dns-eds";
  auto& locality = made->localities.emplace_back();
  locality.locality = Locality{.region = {}, .zone = "a", .subZone = {}};
  for (const std::string& address : addresses) {
    Endpoint& endpoint = locality.endpoints.emplace_back();
    endpoint.address = at(address);
    endpoint.weight = 7;
  }
  return made;
}

std::shared_ptr<Snapshot> snapshotWithDns() {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->complete = true;
  snapshot->clustersListed = true;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = "dns";
  cluster->edsName = "dns-eds";
  cluster->outlierDetection = OutlierDetection();
  snapshot->clusters["dns"] = cluster;
  snapshot->assignments["dns-eds"] = assignment({"10.1.0.1:5353", "10.1.0.2:5353"});
  return snapshot;
}

std::shared_ptr<const Snapshot> add(UdpServices& services, std::shared_ptr<const Snapshot> to) {
  Unknowns unknowns;
  return services.addTo(std::move(to), unknowns);
}

std::vector<std::string> hostsOf(const Snapshot& snapshot) {
  std::vector<std::string> hosts;
  const auto assignment = snapshot.assignmentOf(*snapshot.clusters.at(kCluster));
  if (!assignment) return {"unknown"};
  for (const auto& locality : assignment->localities) {
    for (const Endpoint& one : locality.endpoints) hosts.push_back(one.address.toString());
  }
  return hosts;
}

using Names = std::vector<std::string>;

TEST(UdpServicesTest, AServiceTakesTheEndpointsAndReplacesThePort) {
  UdpServices services({kDns});
  const auto made = add(services, snapshotWithDns());
  const Listener& listener = *made->listeners.at(kListener);
  EXPECT_EQ(listener.protocol, Protocol::kUdp);
  EXPECT_EQ(listener.addresses, (std::vector<Vip>{kDns.vip}));
  EXPECT_EQ(listener.route.clusters.at(0).name, kCluster);
  EXPECT_EQ(hostsOf(*made), (Names{"10.1.0.1:53", "10.1.0.2:53"}));
  const auto& locality = made->assignments.at(kCluster)->localities.at(0);
  EXPECT_EQ(locality.locality->zone, "a");
  EXPECT_EQ(locality.endpoints.at(0).weight, 7U);
  EXPECT_TRUE(made->clusters.at(kCluster)->outlierDetection.has_value());
  // The control plane's own stay as they are.
  EXPECT_EQ(made->assignments.at("dns-eds")->localities.at(0).endpoints.at(0).address,
            at("10.1.0.1:5353"));
}

TEST(UdpServicesTest, WithoutAPortTheEndpointsKeepTheirs) {
  UdpServices services({{kDns.vip, "dns", std::nullopt}});
  const auto made = add(services, snapshotWithDns());
  EXPECT_EQ(made->assignments.at("dns/udp")->localities.at(0).endpoints.at(0).address,
            at("10.1.0.1:5353"));
}

TEST(UdpServicesTest, EndpointsThatDifferInThePortAloneAreOne) {
  auto snapshot = snapshotWithDns();
  snapshot->assignments["dns-eds"] = assignment({"10.1.0.1:53", "10.1.0.1:54", "10.1.0.2:53"});
  UdpServices services({kDns});
  EXPECT_EQ(hostsOf(*add(services, snapshot)), (Names{"10.1.0.1:53", "10.1.0.2:53"}));
}

TEST(UdpServicesTest, InlineEndpointsAreTakenToo) {
  auto snapshot = snapshotWithDns();
  auto cluster = std::make_shared<Cluster>();
  cluster->type = DiscoveryType::kStatic;
  cluster->inlineAssignment = assignment({"10.1.0.9:5353"});
  snapshot->clusters["dns"] = cluster;
  UdpServices services({kDns});
  EXPECT_EQ(hostsOf(*add(services, snapshot)), (Names{"10.1.0.9:53"}));
}

TEST(UdpServicesTest, WhatDidNotChangeIsTheSameObjectAndIsNotInTheChanges) {
  UdpServices services({kDns});
  const auto snapshot = snapshotWithDns();
  const auto first = add(services, snapshot);
  EXPECT_EQ(first->changed.clusters, (std::set<std::string>{kCluster}));
  EXPECT_EQ(first->changed.listeners, (std::set<std::string>{kListener}));
  const auto again = add(services, snapshot);
  EXPECT_TRUE(again->changed.empty());
  EXPECT_EQ(again->clusters.at(kCluster), first->clusters.at(kCluster));
  EXPECT_EQ(again->assignments.at(kCluster), first->assignments.at(kCluster));

  auto moved = std::make_shared<Snapshot>(*snapshot);
  moved->assignments["dns-eds"] = assignment({"10.1.0.3:5353"});
  const auto after = add(services, moved);
  EXPECT_EQ(after->changed.assignments, (std::set<std::string>{kCluster}));
  EXPECT_TRUE(after->changed.clusters.empty());
  EXPECT_EQ(hostsOf(*after), (Names{"10.1.0.3:53"}));
}

TEST(UdpServicesTest, EndpointsThatHaveNotComeAreUnknown) {
  auto snapshot = snapshotWithDns();
  snapshot->assignments.erase("dns-eds");
  UdpServices services({kDns});
  EXPECT_EQ(hostsOf(*add(services, snapshot)), (Names{"unknown"}));
}

// A name that the control plane does not have must not cut the node off from its DNS.
TEST(UdpServicesTest, AServiceWithoutItsClusterIsListedAndMakesNoVip) {
  auto snapshot = snapshotWithDns();
  UdpServices services({kDns});
  EXPECT_TRUE(add(services, snapshot)->listeners.contains(kListener));
  snapshot->clusters.erase("dns");
  const auto made = add(services, snapshot);
  EXPECT_FALSE(made->listeners.contains(kListener));
  EXPECT_EQ(made->changed.listeners, (std::set<std::string>{kListener}));
  ASSERT_EQ(made->leftAlone.size(), 1U);
  ASSERT_TRUE(made->leftAlone.contains(kListener));
  EXPECT_EQ(made->leftAlone.at(kListener)->reason, "the control plane has no cluster dns");
}

TEST(UdpServicesTest, WhatIsUnknownOfTheClusterIsUnknownOfTheService) {
  auto snapshot = snapshotWithDns();
  snapshot->clusters.erase("dns");
  UdpServices services({kDns});
  Unknowns unknowns;
  unknowns.clusters = {"dns"};
  const auto made = services.addTo(snapshot, unknowns);
  EXPECT_TRUE(made->listeners.contains(kListener));
  EXPECT_EQ(unknowns.clusters, (std::set<std::string>{"dns", kCluster}));
}

TEST(UdpServicesTest, TlsOfTheTcpPortIsNotTheServices) {
  auto snapshot = snapshotWithDns();
  auto cluster = std::make_shared<Cluster>(*snapshot->clusters.at("dns"));
  cluster->leaveAlone = LeftAloneReason::kTls;
  cluster->automaticTls = true;
  snapshot->clusters["dns"] = cluster;
  UdpServices services({kDns});
  const auto made = add(services, snapshot)->clusters.at(kCluster);
  EXPECT_EQ(made->leaveAlone, LeftAloneReason::kNone);
  EXPECT_FALSE(made->automaticTls);
}

TEST(UdpServicesTest, WithoutServicesTheSnapshotIsTheSame) {
  UdpServices services({});
  const auto snapshot = snapshotWithDns();
  EXPECT_EQ(add(services, snapshot), snapshot);
}

}  // namespace
}  // namespace sockmesh
