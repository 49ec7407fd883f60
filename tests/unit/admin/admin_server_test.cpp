// SPDX-License-Identifier: Apache-2.0
// The admin server over real HTTP, on a port of the kernel's choice.
#include "admin/admin_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "http_fixture.h"
#include "stats/agent_collector.h"

namespace sockmesh::test {
namespace {

using nlohmann::json;

class AdminServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    state_.nodeId = "sidecar~10.0.0.9~node~local";
    state_.startedAt = std::chrono::seconds(1767323045);
    std::string folder = testing::TempDir() + "admin-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    auto listeners = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
    ASSERT_TRUE(listeners) << listeners.error().message();
    ASSERT_TRUE(listeners->addSocket(folder_ + "/admin.sock"));
    auto started = AdminServer::start(
        std::move(listeners).value(), state_,
        {std::make_shared<AgentCollector>([this] { return state_.stats.load(); }, turns_)});
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(started).value();
  }
  void TearDown() override {
    server_.reset();
    rmdir(folder_.c_str());
  }

  const SocketAddress& address() const { return server_->listeners().address(); }
  HttpAnswer get(const std::string& target) { return request(connectTo(address()), "GET", target); }
  // Over the Unix socket.
  HttpAnswer post(const std::string& target, const std::string& headers = "") {
    return request(connectTo(server_->listeners().socketPath()), "POST", target, headers);
  }
  json getJson(const std::string& target) {
    const HttpAnswer answer = get(target);
    EXPECT_NE(answer.head.find("Content-Type: application/json"), std::string::npos);
    return json::parse(answer.body, nullptr, false);
  }

  std::string folder_;
  AdminState state_;
  TurnTimes turns_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, NamesHaveWorkloadsAndHosts) {
  EXPECT_EQ(getJson("/names")["workloads"], json::array()) << "nothing has arrived";
  auto snapshot = std::make_shared<Snapshot>();
  const IpAddress address = IpAddress::parse("10.0.0.1").value();
  snapshot->workloads[address] =
      std::make_shared<const Workload>(Workload{"web-1", "shop", "n1", {address}});
  state_.snapshot.store(std::move(snapshot));
  auto stats = std::make_shared<AgentStats>();
  stats->dns.hosts["db.example"] = {
      .clusters = {"db"}, .addresses = {"192.0.2.1"}, .problem = "timed out", .stale = true};
  state_.stats.store(std::move(stats));
  const json names = getJson("/names");
  EXPECT_EQ(names["kind"], "Names");
  EXPECT_EQ(names["workloads"], json::parse(R"([{"address": "10.0.0.1", "name": "web-1",
                                                 "namespace": "shop", "node": "n1"}])"));
  EXPECT_EQ(names["hosts"],
            json::parse(R"([{"name": "db.example", "clusters": ["db"], "addresses": ["192.0.2.1"],
                             "problem": "timed out", "stale": true}])"));
}

TEST_F(AdminServerTest, IsAliveBeforeItIsReady) {
  EXPECT_EQ(get("/healthz").status, 200);
  const HttpAnswer starting = get("/readyz");
  EXPECT_EQ(starting.status, 503);
  EXPECT_EQ(json::parse(starting.body),
            json::parse(R"({"ready":false,"reasons":["starting"],"notes":[]})"));

  state_.readiness.store(
      std::make_shared<const Readiness>(Readiness{false, {"no CDS response yet"}}));
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(getJson("/readyz")["reasons"], json({"no CDS response yet"}));

  state_.readiness.store(std::make_shared<const Readiness>(Readiness{true, {}}));
  EXPECT_EQ(get("/readyz").status, 200);
}

TEST_F(AdminServerTest, MetricsAreTextThatPrometheusReads) {
  const HttpAnswer answer = get("/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.head.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(answer.body.find("# TYPE sockmesh_build_info gauge\nsockmesh_build_info{version="),
            std::string::npos)
      << answer.body;
  EXPECT_EQ(get("/stats/prometheus").body, answer.body);
}

TEST_F(AdminServerTest, TheMetricsServerHasMetricsAndProbesAlone) {
  auto listeners = HttpListeners::open(SocketAddress::parse("127.0.0.1:0").value());
  ASSERT_TRUE(listeners) << listeners.error().message();
  auto started = AdminServer::startMetrics(
      std::move(listeners).value(), state_,
      {std::make_shared<AgentCollector>([this] { return state_.stats.load(); }, turns_)});
  ASSERT_TRUE(started) << started.error().message();
  const auto ask = [&](const std::string& method, const std::string& target) {
    const SocketAddress at = (*started)->listeners().address();
    return request(connectTo(at), method, target, "Host: node-1.example\r\n");
  };
  EXPECT_EQ(ask("GET", "/metrics").body, get("/metrics").body);
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  EXPECT_EQ(ask("GET", "/readyz").status, 503);
  for (const char* local : {"/status", "/config_dump", "/logging"}) {
    EXPECT_EQ(get(local).status, 200) << local;
    EXPECT_EQ(ask("GET", local).status, 404) << local;
    EXPECT_EQ(ask("GET", "/").body.find(local), std::string::npos) << local;
  }
  EXPECT_EQ(ask("POST", "/logging?level=off").status, 404);
}

TEST_F(AdminServerTest, StatusTellsOfTheControlPlane) {
  EXPECT_TRUE(getJson("/status")["xds"].is_null());
  AgentStats stats;
  stats.xds.address = "istiod:15010";
  stats.xds.connected = true;
  XdsTypeStats& clusters = stats.xds.types.emplace_back();
  clusters.type = "CDS";
  clusters.version = "7";
  clusters.lastUpdateAt = std::chrono::seconds(1767323100);
  clusters.rejectedResources = {"bad"};
  clusters.lastRejection = {std::chrono::milliseconds(1767323090250), "no name"};
  state_.stats.store(std::make_shared<const AgentStats>(stats));
  const json status = getJson("/status");
  EXPECT_EQ(status["kind"], "AgentStatus");
  EXPECT_EQ(status["nodeId"], "sidecar~10.0.0.9~node~local");
  EXPECT_EQ(status["startedAt"], "2026-01-02T03:04:05.000Z");
  const json& type = status["xds"]["types"][0];
  EXPECT_EQ(type["version"], "7");
  EXPECT_EQ(type["rejectedResources"], json({"bad"}));
  EXPECT_EQ(type["lastRejection"]["at"], "2026-01-02T03:04:50.250Z");
  EXPECT_EQ(type["lastRejection"]["message"], "no name");
}

TEST_F(AdminServerTest, ConfigDumpShowsTheSnapshot) {
  EXPECT_EQ(getJson("/config_dump")["clusters"], json::array());
  Snapshot snapshot;
  snapshot.complete = true;
  auto cluster = std::make_shared<Cluster>();
  cluster->name = "reviews";
  cluster->edsName = "reviews";
  cluster->lb.policy = LbPolicy::kLeastRequest;
  snapshot.clusters["reviews"] = cluster;
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->clusterName = "reviews";
  LocalityEndpoints locality;
  Endpoint& degraded = locality.endpoints.emplace_back();
  degraded.address = SocketAddress::parse("10.0.0.1:80").value();
  degraded.weight = 3;
  degraded.health = EdsHealth::kDegraded;
  assignment->localities.push_back(locality);
  snapshot.assignments["reviews"] = assignment;
  snapshot.leftAlone["0.0.0.0_80"] =
      std::make_shared<const LeftAlone>(LeftAlone{"0.0.0.0_80", "wildcard address"});
  snapshot.held.push_back({"CDS", "c", "its newest version waits for the endpoints of b"});
  state_.snapshot.store(std::make_shared<const Snapshot>(snapshot));

  const json dump = getJson("/config_dump");
  EXPECT_EQ(dump["complete"], true);
  EXPECT_EQ(dump["clusters"][0]["loadBalancing"]["policy"], "LEAST_REQUEST");
  const json& endpoint = dump["assignments"][0]["localities"][0]["endpoints"][0];
  EXPECT_EQ(endpoint["address"], "10.0.0.1:80");
  EXPECT_EQ(endpoint["health"], "DEGRADED");
  EXPECT_EQ(dump["leftAlone"][0]["reason"], "wildcard address");
  EXPECT_EQ(dump["held"], nlohmann::json::parse(R"([
      {"type": "CDS", "name": "c", "reason": "its newest version waits for the endpoints of b"}])"));
}

TEST_F(AdminServerTest, LevelsChangeWithPostAlone) {
  logger("admin-test")->set_level(spdlog::level::info);
  EXPECT_EQ(get("/logging?admin-test:debug").status, 405);
  EXPECT_EQ(logger("admin-test")->level(), spdlog::level::info);
  EXPECT_EQ(post("/logging?admin-test:debug").status, 200);
  EXPECT_EQ(getJson("/logging")["scopes"]["admin-test"], "debug");
  EXPECT_EQ(post("/logging?admin-test=warn").status, 200);
  EXPECT_EQ(logger("admin-test")->level(), spdlog::level::warn);
  EXPECT_EQ(post("/logging?level=error").status, 200);
  EXPECT_EQ(logger("admin-test")->level(), spdlog::level::err);
}

TEST_F(AdminServerTest, WrongLevelsSayWhatIsWrong) {
  const HttpAnswer answer = post("/logging?level=loud&nobody:debug");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("\"loud\" is not a log level"), std::string::npos);
  EXPECT_NE(answer.body.find("no log scope \"nobody\""), std::string::npos);
  EXPECT_EQ(post("/logging").status, 400);
}

TEST_F(AdminServerTest, AWebPageCannotChangeAnything) {
  EXPECT_EQ(post("/logging?level=off", "Origin: http://example.com\r\n").status, 403);
}

TEST_F(AdminServerTest, UnknownPathsAndMethods) {
  EXPECT_EQ(get("/nothing").status, 404);
  EXPECT_EQ(get("/metrics/x").status, 404);
  const HttpAnswer posted = post("/metrics");
  EXPECT_EQ(posted.status, 405);
  EXPECT_NE(posted.head.find("\r\nAllow: GET, HEAD"), std::string::npos) << posted.head;
  EXPECT_NE(get("/").body.find("/config_dump"), std::string::npos);
  const HttpAnswer head = request(connectTo(address()), "HEAD", "/healthz");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(AdminServerTest, APortThatIsTakenIsAnError) {
  const auto second = HttpListeners::open(address());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message().starts_with("admin address " + address().toString() +
                                                   ": cannot listen there"))
      << second.error().message();
}

TEST_F(AdminServerTest, AnswersManyAtOnce) {
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] { answered += get("/healthz").status == 200 ? 1 : 0; });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 8);
}

}  // namespace
}  // namespace sockmesh::test
