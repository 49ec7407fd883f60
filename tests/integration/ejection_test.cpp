// SPDX-License-Identifier: Apache-2.0
// Outlier detection as a user meets it: a backend dies behind a running agent, leaves rotation and
// comes back. Also what is reported, and what outlives the agent.
#include <fcntl.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>

#include "integration/mesh_test.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "maps/unswept.h"

namespace sockmesh::test {
namespace {

class EjectionByAgent : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    config_ = sandbox_->folder() + "/sockmeshd.yaml";
    eventLog_ = sandbox_->folder() + "/ejections.log";
    std::ofstream(config_) << "outlier_detection: { event_log_path: " << eventLog_ << " }\n";
  }

  void start(const std::string& outlierDetection) {
    serve(outlierDetection);
    mesh_->startControlPlane();
    startAgent();
  }
  void serve(const std::string& outlierDetection, const std::string& weight = "1") {
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1] + "*" + weight, hosts_[2]},
                                       "  common_lb_config: { healthy_panic_threshold: { value: " +
                                           panicPercent_ + " } }\n" +
                                           "  outlier_detection: " + outlierDetection + "\n"));
  }
  void startAgent() {
    mesh_->startAgent({"--config", config_});
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  }
  void up(int n) {
    SocketAddress address = at(hosts_[n]);
    listeners_[n] = std::move(listenOn(address, 4096)).value();
  }

  // The hosts in the kernel's tables.
  std::vector<SocketAddress> inRotation() const {
    const KernelImage image = mesh_->image();
    const auto found = image.services.find({at(kVip), Protocol::kTcp});
    if (found == image.services.end()) return {};
    return found->second.service->groups[0]->hosts;
  }
  bool awaitHosts(std::size_t count) {
    return eventually([&] { return inRotation().size() == count; }, std::chrono::seconds(20));
  }
  // Connects until `count` attempts have failed. Returns the number of attempts.
  int connectUntilFailed(int count) {
    int made = 0;
    for (int failed = 0; failed < count && made < 1000; ++made)
      failed += connectTo(at(kVip)) ? 0 : 1;
    return made;
  }
  std::string ctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs()});
    return run(arguments).output;
  }
  std::string events() const {
    std::ostringstream text;
    text << std::ifstream(eventLog_).rdbuf();
    return text.str();
  }
  bool metricIs(const std::string& line) const {
    return mesh_->get("/metrics").find("\n" + line + "\n") != std::string::npos;
  }

  std::string config_;
  std::string eventLog_;
  std::string panicPercent_ = "0";
};

TEST_F(EjectionByAgent, ADeadBackendLeavesAndReturnsAndAllAreTold) {
  start("{ interval: 0.2s, base_ejection_time: 1s, consecutive_5xx: 3, max_ejection_percent: 34 }");
  ASSERT_TRUE(awaitHosts(3));
  listeners_[0].reset();
  connectUntilFailed(3);
  // The kernel has ejected; the agent's tables follow.
  EXPECT_TRUE(awaitHosts(2));
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(connectTo(at(kVip)));
  const std::string listed = ctl({"ejection", "list"});
  EXPECT_NE(listed.find(hosts_[0] + "   a         consecutive_5xx"), std::string::npos) << listed;
  EXPECT_TRUE(metricIs("sockmesh_outlier_detection_ejections_active{cluster=\"a\"} 1"));
  EXPECT_TRUE(metricIs(
      "sockmesh_outlier_detection_ejections_enforced_total{cluster=\"a\",type=\"consecutive_5xx\"} "
      "1"));
  EXPECT_TRUE(mesh_->agent().awaitLog(hosts_[0] + " ejected (consecutive_5xx)"));

  up(0);
  EXPECT_TRUE(awaitHosts(3)) << "taken back by a sweep";
  EXPECT_TRUE(metricIs("sockmesh_outlier_detection_ejections_active{cluster=\"a\"} 0"));
  EXPECT_NE(ctl({"ejection", "list", "--returned"}).find("returned"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return events().find("UNEJECT") != std::string::npos; }));
  const std::string first = events().substr(0, events().find('\n'));
  EXPECT_NE(first.find(R"("type":"CONSECUTIVE_5XX")"), std::string::npos) << events();
  EXPECT_NE(first.find(R"("action":"EJECT")"), std::string::npos) << events();
  EXPECT_NE(first.find(R"("upstream_url":")" + hosts_[0] + "\""), std::string::npos) << events();
}

TEST_F(EjectionByAgent, EjectionsOutliveUpdatesAndTheAgent) {
  const std::string detection =
      "{ interval: 0.2s, consecutive_5xx: 2, max_ejection_percent: 34, "
      "consecutive_gateway_failure: 0 }";
  start(detection);
  ASSERT_TRUE(awaitHosts(3));
  listeners_[0].reset();
  connectUntilFailed(2);
  ASSERT_TRUE(awaitHosts(2));
  // An update of the endpoints: what is ejected stays out.
  serve(detection, "3");
  EXPECT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    for (const auto& [id, endpoint] : image.endpoints) {
      if (endpoint.endpoint.weight == 3) return true;
    }
    return false;
  }));
  EXPECT_EQ(inRotation().size(), 2u);

  mesh_->killAgent();
  up(0);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(connectTo(at(kVip)));
  startAgent();
  EXPECT_TRUE(mesh_->agent().awaitLog("adopted 1 services and 3 endpoints, 0 writes"));
  EXPECT_EQ(inRotation().size(), 2u) << "the new agent found who is ejected";
  EXPECT_NE(ctl({"ejection", "list"}).find(hosts_[0]), std::string::npos);
  const std::string log = mesh_->agent().log();
  EXPECT_EQ(log.find("changed", log.find("adopted 1 services")), std::string::npos)
      << "it wrote tables that were as they should be:\n"
      << log;
}

// An agent that was away while the kernel ejected.
TEST_F(EjectionByAgent, TheKernelEjectsWhileTheAgentIsAway) {
  start("{ interval: 0.2s, base_ejection_time: 1s, consecutive_5xx: 2, max_ejection_percent: 34 }");
  ASSERT_TRUE(awaitHosts(3));
  mesh_->killAgent();
  listeners_[2].reset();
  connectUntilFailed(2);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_EQ(inRotation().size(), 3u) << "nobody compiled new tables";
  up(2);
  startAgent();
  EXPECT_TRUE(eventually([&] {
    return ctl({"ejection", "list"}).find(hosts_[2]) == std::string::npos;
  })) << ctl({"ejection", "list"});
  EXPECT_TRUE(awaitHosts(3));
}

TEST_F(EjectionByAgent, FailurePercentageIsTheSweeps) {
  start(
      "{ interval: 0.2s, base_ejection_time: 20s, consecutive_5xx: 0, consecutive_gateway_failure: "
      "0, max_ejection_percent: 50, failure_percentage_threshold: 60, "
      "enforcing_failure_percentage: 100, failure_percentage_minimum_hosts: 2, "
      "failure_percentage_request_volume: 3, enforcing_success_rate: 0 }");
  ASSERT_TRUE(awaitHosts(3));
  listeners_[1].reset();
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 30; ++i) {
      [[maybe_unused]] const auto made = connectTo(at(kVip));
    }
    return inRotation().size() == 2;
  }));
  EXPECT_NE(events().find(R"("type":"FAILURE_PERCENTAGE")"), std::string::npos) << events();
  EXPECT_NE(events().find(R"("host_success_rate":0)"), std::string::npos) << events();
}

// The agent does not look at a cluster without traffic. The first failures end that, each time.
TEST_F(EjectionByAgent, ARestEndsWithTheNextFailures) {
  start(
      "{ interval: 0.2s, base_ejection_time: 0.2s, consecutive_5xx: 0, "
      "consecutive_gateway_failure: 0, max_ejection_percent: 50, failure_percentage_threshold: 60, "
      "enforcing_failure_percentage: 100, failure_percentage_minimum_hosts: 2, "
      "failure_percentage_request_volume: 1, enforcing_success_rate: 0 }");
  ASSERT_TRUE(awaitHosts(3));
  const auto maps = KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadOnly);
  ASSERT_TRUE(maps) << maps.error().message();
  const auto isSwept = [&] { return unsweptClusters(**maps).empty(); };
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(eventually(isSwept)) << "the last connects have been looked at";
    listeners_[1].reset();
    for (int i = 0; i < 12; ++i) {
      [[maybe_unused]] const auto made = connectTo(at(kVip));
    }
    EXPECT_TRUE(awaitHosts(2)) << round;
    up(1);
    EXPECT_TRUE(awaitHosts(3)) << round << ": it returns without any traffic";
  }
}

// Two of three are ejected, with the default panic threshold of 50 %: Envoy uses all three again.
TEST_F(EjectionByAgent, TooManyEjectedIsPanic) {
  panicPercent_ = "50";
  start("{ interval: 0.2s, consecutive_5xx: 2, max_ejection_percent: 100 }");
  ASSERT_TRUE(awaitHosts(3));
  listeners_[0].reset();
  connectUntilFailed(2);
  ASSERT_TRUE(awaitHosts(2)) << "two of three are enough";
  listeners_[1].reset();
  connectUntilFailed(2);
  EXPECT_TRUE(mesh_->awaitImage([&](const KernelImage& image) {
    const auto& group = *image.services.at({at(kVip), Protocol::kTcp}).service->groups[0];
    return group.hosts.size() == 3 && (group.flags & SM_GROUP_PANIC) != 0;
  }));
  int served = 0;
  for (int i = 0; i < 30; ++i) served += connectTo(at(kVip)) ? 1 : 0;
  EXPECT_EQ(served, 10) << "in panic the ejected ones take their turns";
  EXPECT_TRUE(metricIs("sockmesh_outlier_detection_ejections_active{cluster=\"a\"} 2"));
}

TEST_F(EjectionByAgent, ALimitOfNoneIsWarnedOf) {
  start("{}");
  ASSERT_TRUE(awaitHosts(3));
  EXPECT_TRUE(mesh_->agent().awaitLog("max_ejection_percent 10 of 3 endpoints"));
  EXPECT_NE(ctl({"ejection", "list"}).find("Note: cluster a: none can be ejected"),
            std::string::npos);
  EXPECT_NE(ctl({"status"}).find("can eject none in 1 (a)"), std::string::npos);
  EXPECT_NE(mesh_->get("/status").find("max_ejection_percent 10 of 3 endpoints"),
            std::string::npos);
}

}  // namespace
}  // namespace sockmesh::test
