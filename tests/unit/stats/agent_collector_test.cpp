// SPDX-License-Identifier: Apache-2.0
#include "stats/agent_collector.h"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <cctype>
#include <set>
#include <sstream>

#include "stats/datapath_collector.h"
#include "stats/exposition.h"
#include "stats/log_histogram.h"
#include "stats/process_collector.h"

namespace sockmesh {
namespace {

std::shared_ptr<const AgentStats> someStats() {
  auto stats = std::make_shared<AgentStats>();
  stats->xds.address = "istiod:15010";
  stats->xds.connected = true;
  XdsTypeStats& assignments = stats->xds.types.emplace_back();
  assignments.type = "EDS";
  assignments.version = "3";
  assignments.resources = 10;
  assignments.accepted = 4;
  assignments.rejected = 2;
  assignments.lastUpdateAt = std::chrono::milliseconds(1500);
  assignments.rejectedResources = {"a", "b"};
  assignments.expired = 5;
  stats->writer.writes = {{"cells", 9}};
  stats->writer.errors = {{"cells", 1}};
  stats->writer.convergence.observe(0.003);
  stats->writer.convergence.observe(60);
  return stats;
}

const TurnTimes noTurns;

TEST(AgentCollector, TellsHowLongTheLoopWasBusy) {
  TurnTimes turns;
  turns.observe(std::chrono::milliseconds(2));
  turns.observe(std::chrono::seconds(2));
  const std::string text = expose({std::make_shared<AgentCollector>(someStats, turns)});
  for (const char* line : {"sockmesh_loop_turn_duration_seconds_bucket{le=\"0.001\"} 0\n",
                           "sockmesh_loop_turn_duration_seconds_bucket{le=\"0.005\"} 1\n",
                           "sockmesh_loop_turn_duration_seconds_count 2\n",
                           "sockmesh_loop_turn_longest_seconds 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(AgentCollector, TellsOfTheControlPlaneAndTheWriter) {
  const auto collector = std::make_shared<AgentCollector>(someStats, noTurns);
  const std::string text = expose({collector});
  for (const char* line : {
           "sockmesh_xds_connected 1\n",
           "sockmesh_xds_updates_total{type=\"EDS\",result=\"accepted\"} 4\n",
           "sockmesh_xds_updates_total{type=\"EDS\",result=\"rejected\"} 2\n",
           "sockmesh_xds_last_update_timestamp_seconds{type=\"EDS\"} 1.5\n",
           "sockmesh_xds_rejected_resources{type=\"EDS\"} 2\n",
           "sockmesh_xds_expired_resources_total{type=\"EDS\"} 5\n",
           "sockmesh_map_writes_total{map=\"cells\"} 9\n",
           "sockmesh_map_errors_total{map=\"cells\"} 1\n",
           "sockmesh_convergence_duration_seconds_bucket{le=\"0.005\"} 1\n",
           "sockmesh_convergence_duration_seconds_bucket{le=\"10\"} 1\n",
           "sockmesh_convergence_duration_seconds_bucket{le=\"+Inf\"} 2\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

// Few series, and only of clusters concerned: an alert is `sockmesh_cluster_needs_layer7 > 0`.
TEST(AgentCollector, ClustersThatNeedLayer7AreNamedWithTheReason) {
  auto stats = std::make_shared<AgentStats>(*someStats());
  const auto collector = std::make_shared<AgentCollector>([&] { return stats; }, noTurns);
  EXPECT_EQ(expose({collector}).find("not_honoured"), std::string::npos) << "not known yet";
  stats->notHonoured = NotHonouredStats{{{"reviews", "header x-user"}}, {{"CDS", 3}, {"LDS", 0}}};
  const std::string text = expose({collector});
  for (const char* line : {
           "sockmesh_cluster_needs_layer7{cluster=\"reviews\",hash_policy=\"header x-user\"} 1\n",
           "sockmesh_xds_not_honoured_resources{type=\"CDS\"} 3\n",
           "sockmesh_xds_not_honoured_resources{type=\"LDS\"} 0\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(AgentCollector, ProgramsAndHeldServices) {
  auto stats = std::make_shared<AgentStats>();
  stats->attachments = {{"sm_connect4", true, "", 2, 2}, {"sm_sock_ops", false, "gone", 1, 0}};
  stats->writer.held = {2, {{"a", 1}}, {{"l", 1}}};
  const std::string text =
      expose({std::make_shared<AgentCollector>([&] { return stats; }, noTurns)});
  for (const char* line : {"sockmesh_datapath_attached{program=\"sm_connect4\"} 1\n",
                           "sockmesh_datapath_attached{program=\"sm_sock_ops\"} 0\n",
                           "sockmesh_datapath_attach_lost_total{program=\"sm_connect4\"} 2\n",
                           "sockmesh_datapath_reattached_total{program=\"sm_sock_ops\"} 0\n",
                           "sockmesh_services_held 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(AgentCollector, TheWatchOfPodsHasSeriesOnlyWhereThereIsOne) {
  const auto textOf = [](const std::optional<PodWatchStats>& watch) {
    auto stats = std::make_shared<AgentStats>();
    stats->podWatch = watch;
    return expose({std::make_shared<AgentCollector>([stats] { return stats; }, noTurns)});
  };
  EXPECT_EQ(textOf(std::nullopt).find("\nsockmesh_pod_watch"), std::string::npos);
  PodWatchStats watch;
  watch.watching = true;
  watch.heardAt = std::chrono::milliseconds(1500);
  watch.failures = 2;
  watch.pods = 7;
  watch.leftOut = 2;
  watch.letIn = 1;
  const std::string text = textOf(watch);
  for (const char* line : {"\nsockmesh_pod_watch_up 1\n", "\nsockmesh_pod_watch_failures_total 2\n",
                           "\nsockmesh_pod_watch_last_event_timestamp_seconds 1.5\n",
                           "\nsockmesh_pod_watch_pods{decision=\"left_out\"} 2\n",
                           "\nsockmesh_pod_watch_pods{decision=\"let_in\"} 1\n",
                           "\nsockmesh_pod_watch_pods{decision=\"none\"} 4\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(HeldStats, NamesAFew) {
  EXPECT_EQ(HeldStats{}.text(), "");
  EXPECT_EQ((HeldStats{1, {{"a", 1}}, {}}).text(),
            "1 service serves as before: waiting for endpoints of 1 cluster (a)");
  EXPECT_EQ((HeldStats{9, {{"a", 4}, {"b", 2}, {"c", 1}, {"d", 1}}, {{"l", 1}}}).text(),
            "9 services serve as before: waiting for endpoints of 4 clusters (a, b, c, ...); the "
            "present version of 1 listener (l) was rejected, or its routes have not come");
}

TEST(AgentCollector, BeforeAnythingIsKnownThereAreTheBuildAndTheLoop) {
  const auto collector = std::make_shared<AgentCollector>([] { return nullptr; }, noTurns);
  EXPECT_EQ(collector->Collect().size(), 3U);
}

TEST(ProcessCollector, KnowsThisProcess) {
  const std::string text = expose({std::make_shared<ProcessCollector>()});
  for (const char* name :
       {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
        "process_max_fds ", "process_start_time_seconds 1"}) {
    EXPECT_NE(text.find("\n" + std::string(name)), std::string::npos) << name << text;
  }
}

// What `promtool check metrics` insists on, for all families together.
TEST(Metrics, FamiliesHaveHelpGoodNamesAndOneOwner) {
  const auto datapath = std::make_shared<DatapathCollector>(
      []() -> Result<DatapathStats> { return DatapathStats{}; }, DatapathMetricsOptions{});
  const auto agent = std::make_shared<AgentCollector>(someStats, noTurns);
  const Collectables all = {datapath, agent, std::make_shared<ProcessCollector>()};
  std::set<std::string> seen;
  for (const auto& collectable : all) {
    for (const auto& family : collectable->Collect()) {
      EXPECT_TRUE(seen.insert(family.name).second) << family.name << " twice";
      EXPECT_FALSE(family.help.empty()) << family.name;
      const bool counter = family.type == prometheus::MetricType::Counter;
      EXPECT_EQ(family.name.ends_with("_total"), counter) << family.name;
    }
  }
}

TEST(LogHistogram, QuantilesLieWithinTheirBucket) {
  const LogHistogram histogram{1.0, {0, 10, 0, 0}};
  EXPECT_DOUBLE_EQ(quantileSeconds(histogram, 0.5).value(), 1.5);
  EXPECT_DOUBLE_EQ(quantileSeconds(histogram, 1.0).value(), 2.0);
  EXPECT_FALSE(quantileSeconds({1.0, {0, 0, 0, 0}}, 0.5));
  const LogHistogram beyond{1.0, {0, 0, 0, 3}};
  EXPECT_DOUBLE_EQ(quantileSeconds(beyond, 0.5).value(), 4.0);
}

}  // namespace
}  // namespace sockmesh
