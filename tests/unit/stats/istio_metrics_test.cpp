// SPDX-License-Identifier: Apache-2.0
#include "stats/istio_metrics.h"

#include <gmock/gmock.h>

namespace sockmesh {
namespace {

using ::testing::IsEmpty;

ConnectionStats stats(std::uint64_t established, std::uint64_t clean, std::uint64_t sent,
                      std::uint64_t received) {
  ConnectionStats out;
  out.established = established;
  out.closed = {{"clean", clean}, {"reset_by_peer", 1}};
  out.sentBytes = sent;
  out.receivedBytes = received;
  return out;
}

std::string labelOf(const prometheus::ClientMetric& metric, const std::string& name) {
  for (const auto& label : metric.label) {
    if (label.name == name) return label.value;
  }
  return "none";
}

TEST(IstioMetrics, AClustersNameSaysItsService) {
  const auto is = [](const std::string& cluster, IstioDestination destination) {
    EXPECT_EQ(istioDestination(cluster), destination) << cluster;
  };
  is("outbound|9080|v1|reviews.shop.svc.cluster.local",
     {"reviews.shop.svc.cluster.local", "reviews", "shop"});
  is("outbound|443||api.example.com", {"api.example.com", "api.example.com", "unknown"});
  is("outbound|443||db", {"db", "db", "unknown"});
  is("outbound|", {"unknown", "outbound|", "unknown"});
  is("PassthroughCluster", {"unknown", "PassthroughCluster", "unknown"});
}

TEST(IstioMetrics, PortsAndSubsetsOfAServiceAreOneSeries) {
  const auto families =
      istioFamilies({{"outbound|80|v1|a.b.svc.cluster.local", stats(3, 1, 10, 20)},
                     {"outbound|80|v2|a.b.svc.cluster.local", stats(4, 2, 5, 6)},
                     {"unused", stats(0, 0, 0, 0)}});
  ASSERT_EQ(families.size(), 4U);
  const std::vector<std::pair<std::string, double>> expected = {
      {"istio_tcp_connections_opened_total", 7},
      {"istio_tcp_connections_closed_total", 5},
      {"istio_tcp_sent_bytes_total", 26},       // what the client got
      {"istio_tcp_received_bytes_total", 15}};  // what it sent
  for (std::size_t i = 0; i < families.size(); ++i) {
    EXPECT_EQ(families[i].name, expected[i].first);
    ASSERT_EQ(families[i].metric.size(), 1U);
    EXPECT_EQ(families[i].metric[0].counter.value, expected[i].second) << families[i].name;
    EXPECT_EQ(labelOf(families[i].metric[0], "destination_service_name"), "a");
    EXPECT_EQ(labelOf(families[i].metric[0], "destination_service_namespace"), "b");
    EXPECT_EQ(labelOf(families[i].metric[0], "reporter"), "source");
  }
}

TEST(IstioMetrics, NothingIsNoSeries) {
  for (const auto& family : istioFamilies({})) EXPECT_THAT(family.metric, IsEmpty());
}

}  // namespace
}  // namespace sockmesh
