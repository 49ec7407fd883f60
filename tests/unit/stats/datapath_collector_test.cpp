// SPDX-License-Identifier: Apache-2.0
#include "stats/datapath_collector.h"

#include <gtest/gtest.h>

#include "stats/exposition.h"

namespace sockmesh {
namespace {

EndpointStats endpoint(std::uint32_t id, const std::string& address, std::uint64_t selected) {
  EndpointStats out;
  out.id = id;
  out.cluster = "reviews";
  out.address = address;
  out.active = 2;
  out.connections.selected = selected;
  out.connections.failed = {{"refused", 1}, {"timed_out", 0}};
  out.connections.connectDuration = {64e-6, {4, 1, 2}};
  return out;
}

DatapathStats stats(std::vector<EndpointStats> endpoints) {
  DatapathStats out;
  out.endpoints = std::move(endpoints);
  ClusterStats cluster;
  cluster.cluster = "reviews";
  cluster.refused = {3, {{"no_endpoints"}, ""}};
  out.clusters = {cluster};
  out.services = {{"balanced", 5}};
  return out;
}

struct Scraped {
  DatapathStats now;
  std::shared_ptr<DatapathCollector> collector;

  explicit Scraped(bool endpointLabel)
      : collector(
            std::make_shared<DatapathCollector>([this]() -> Result<DatapathStats> { return now; },
                                                DatapathMetricsOptions{endpointLabel})) {}
  std::string text() const { return expose({collector}); }
};

TEST(DatapathCollector, CountersByEndpointVanishWithIt) {
  Scraped scraped(true);
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7), endpoint(2, "10.0.0.2:80", 8)});
  EXPECT_NE(scraped.text().find("sockmesh_connections_selected_total{cluster=\"reviews\","
                                "endpoint=\"10.0.0.2:80\"} 8\n"),
            std::string::npos)
      << scraped.text();
  EXPECT_NE(scraped.text().find("sockmesh_connections_failed_total{cluster=\"reviews\","
                                "endpoint=\"10.0.0.1:80\",reason=\"refused\"} 1\n"),
            std::string::npos);
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7)});
  EXPECT_EQ(scraped.text().find("10.0.0.2:80"), std::string::npos);
}

TEST(DatapathCollector, AnEndpointInUseNamesItsWorkload) {
  DatapathStats now = stats({endpoint(1, "10.0.0.1:80", 7), endpoint(2, "10.0.0.2:80", 0)});
  for (EndpointStats& one : now.endpoints) {
    one.workload.emplace();
    one.workload->name = "web-1";
    one.workload->space = "shop";
    one.workload->node = "node1";
  }
  const auto text = [&](bool workloads) {
    return expose({std::make_shared<DatapathCollector>(
        [&]() -> Result<DatapathStats> { return now; },
        DatapathMetricsOptions{.endpointLabel = true, .workloads = workloads})});
  };
  EXPECT_NE(text(true).find("sockmesh_endpoint_info{cluster=\"reviews\",endpoint=\"10.0.0.1:80\","
                            "workload=\"web-1\",workload_namespace=\"shop\",node=\"node1\"} 1\n"),
            std::string::npos)
      << text(true);
  EXPECT_EQ(text(true).find("sockmesh_endpoint_info{cluster=\"reviews\",endpoint=\"10.0.0.2:80\""),
            std::string::npos)
      << "nobody uses it";
  EXPECT_EQ(text(false).find("sockmesh_endpoint_info"), std::string::npos);
}

TEST(DatapathCollector, CountersByClusterNeverFall) {
  Scraped scraped(false);
  const std::string series = "sockmesh_connections_selected_total{cluster=\"reviews\"} ";
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7), endpoint(2, "10.0.0.2:80", 8)});
  EXPECT_NE(scraped.text().find(series + "15\n"), std::string::npos) << scraped.text();
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 9)});
  EXPECT_NE(scraped.text().find(series + "17\n"), std::string::npos) << scraped.text();
  EXPECT_EQ(scraped.text().find("endpoint="), std::string::npos);
}

TEST(DatapathCollector, WhatNobodyConnectedToHasNoSeries) {
  for (const bool endpointLabel : {true, false}) {
    Scraped scraped(endpointLabel);
    EndpointStats idle;
    idle.cluster = "reviews";
    idle.address = "10.0.0.1:80";
    idle.connections.connectDuration = {64e-6, {0, 0, 0}};
    scraped.now = stats({idle});
    scraped.now.clusters[0].refused = {};
    EXPECT_EQ(scraped.text().find("reviews"), std::string::npos) << scraped.text();
  }
}

TEST(DatapathCollector, VerdictsHaveTheirReason) {
  Scraped scraped(false);
  scraped.now = stats({});
  scraped.now.clusters[0].leftAlone = {4, {{"tls"}, ""}};
  scraped.now.servicesByReason = {{"no_endpoints", 2}};
  const std::string text = scraped.text();
  for (const char* line :
       {"sockmesh_connections_refused_total{cluster=\"reviews\",reason=\"no_endpoints\"} 3\n",
        "sockmesh_connections_left_alone_total{cluster=\"reviews\",reason=\"tls\"} 4\n",
        "sockmesh_services_not_balanced{reason=\"no_endpoints\"} 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
  scraped.now = {};
  EXPECT_EQ(scraped.text().find("reason="), std::string::npos) << scraped.text();
}

// So that rate() sees the first refusal.
TEST(DatapathCollector, RefusalsOfAClusterInUseHaveASeriesBeforeTheFirst) {
  Scraped scraped(true);
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7)});
  scraped.now.clusters[0].refused = {};
  scraped.now.suddenRefusals = {"no_endpoints"};
  const std::string series =
      "sockmesh_connections_refused_total{cluster=\"reviews\",reason=\"no_endpoints\"} ";
  EXPECT_NE(scraped.text().find(series + "0\n"), std::string::npos) << scraped.text();
  scraped.now.clusters[0].refused = {2, {{"no_endpoints"}, ""}};
  EXPECT_NE(scraped.text().find(series + "2\n"), std::string::npos) << scraped.text();
}

TEST(DatapathCollector, IstiosNamesAreForThoseWhoAskForThem) {
  Scraped scraped(false);
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7)});
  scraped.now.endpoints[0].connections.established = 5;
  EXPECT_EQ(scraped.text().find("istio_"), std::string::npos);
  scraped.collector = std::make_shared<DatapathCollector>(
      [&scraped]() -> Result<DatapathStats> { return scraped.now; },
      DatapathMetricsOptions{.istioNames = true});
  EXPECT_NE(scraped.text().find("istio_tcp_connections_opened_total{"), std::string::npos)
      << scraped.text();
  EXPECT_NE(scraped.text().find("sockmesh_connections_established_total{"), std::string::npos);
}

TEST(DatapathCollector, ServicesThatNeedLayer7AreCountedAlsoWhenThereIsNone) {
  Scraped scraped(true);
  EXPECT_NE(scraped.text().find("sockmesh_services_needing_layer7 0\n"), std::string::npos);
  scraped.now.servicesNeedingLayer7 = 2;
  EXPECT_NE(scraped.text().find("sockmesh_services_needing_layer7 2\n"), std::string::npos);
}

TEST(DatapathCollector, HistogramsAreCumulative) {
  Scraped scraped(true);
  scraped.now = stats({endpoint(1, "10.0.0.1:80", 7)});
  const std::string text = scraped.text();
  const std::string name = "sockmesh_connect_duration_seconds";
  EXPECT_NE(text.find(name + "_bucket{cluster=\"reviews\",le=\"6.4"), std::string::npos) << text;
  EXPECT_NE(text.find(name + "_bucket{cluster=\"reviews\",le=\"+Inf\"} 7\n"), std::string::npos);
  EXPECT_NE(text.find(name + "_count{cluster=\"reviews\"} 7\n"), std::string::npos);
}

TEST(DatapathCollector, SelectionTimesAreOneHistogramOfTheNode) {
  Scraped scraped(false);
  const std::string name = "sockmesh_selection_duration_seconds";
  EXPECT_EQ(scraped.text().find(name), std::string::npos) << "none was timed";
  scraped.now.selectionTimes = {{64e-9, {4, 1, 2}}, 9e-7};
  const std::string text = scraped.text();
  EXPECT_NE(text.find(name + "_bucket{le=\"6.4"), std::string::npos) << text;
  EXPECT_NE(text.find(name + "_bucket{le=\"1.28"), std::string::npos) << text;
  EXPECT_NE(text.find(name + "_bucket{le=\"+Inf\"} 7\n"), std::string::npos) << text;
  EXPECT_NE(text.find(name + "_count 7\n"), std::string::npos) << text;
  EXPECT_NE(text.find(name + "_sum 9e-07\n"), std::string::npos) << text;
}

TEST(DatapathCollector, UnreadableMapsAreOneGauge) {
  const auto collector = std::make_shared<DatapathCollector>(
      []() -> Result<DatapathStats> { return Error("gone"); }, DatapathMetricsOptions{});
  EXPECT_EQ(expose({collector}),
            "# HELP sockmesh_datapath_readable 1 while the pinned maps can be read.\n"
            "# TYPE sockmesh_datapath_readable gauge\n"
            "sockmesh_datapath_readable 0\n");
}

TEST(ClusterTotals, SeeThroughTheWrapOfA32BitBucket) {
  ClusterTotals totals;
  EndpointStats one = endpoint(1, "10.0.0.1:80", 7);
  one.connections.connectDuration.buckets = {0xfffffff0, 0};
  totals.update(stats({one}));
  one.connections.connectDuration.buckets = {4, 0};
  totals.update(stats({one}));
  EXPECT_EQ(totals.totals().at("reviews").connectDuration.buckets[0], 0x100000004ULL);
}

TEST(ClusterTotals, AnIdThatIsUsedAgainStartsFromZero) {
  ClusterTotals totals;
  totals.update(stats({endpoint(1, "10.0.0.1:80", 100)}));
  totals.update(stats({endpoint(1, "10.0.0.1:80", 3)}));
  EXPECT_EQ(totals.totals().at("reviews").selected, 103U);
  EXPECT_EQ(totals.totals().at("reviews").connectDuration.buckets[0], 8U);
}

TEST(ClusterTotals, AClusterThatIsGoneIsForgotten) {
  ClusterTotals totals;
  totals.update(stats({endpoint(1, "10.0.0.1:80", 1)}));
  totals.update({});
  EXPECT_TRUE(totals.totals().empty());
}

}  // namespace
}  // namespace sockmesh
