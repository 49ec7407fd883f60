// SPDX-License-Identifier: Apache-2.0
// What sockmeshctl prints as JSON beside a running agent is as docs/schemas says, for each command.
#include <gmock/gmock.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "integration/mesh_test.h"
#include "maps/map_names.h"
#include "support/schema.h"

namespace sockmesh::test {
namespace {

using Json = nlohmann::ordered_json;
using Command = std::vector<std::string>;
using ::testing::IsEmpty;

// A listener that makes no VIP.
constexpr const char* kWildcardYaml =
    R"(- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: "0.0.0.0_80"
  address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: s
        cluster: a
)";

// For an agent's start, which takes a second where nothing else runs.
constexpr auto kPatience = std::chrono::seconds(120);

class Schemas : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1]},
                                       "  outlier_detection: { consecutive_5xx: 3 }\n"));
    mesh_->serve("b.yaml", serviceYaml("[fd00::1]:80", "b", {}));
    mesh_->serve("wildcard.yaml", kWildcardYaml);
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(eventually([&] { return mesh_->ready(); }, kPatience)) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
      return image.services.size() == 2 && image.endpoints.size() == 2;
    }));
  }

  // The document that a command prints. A failure is followed by its line on stderr.
  Json printed(const Command& words) const {
    Command command = {binary("sockmeshctl"),
                       "--bpffs-root",
                       sandbox_->bpffs(),
                       "--admin-socket",
                       mesh_->adminSocket(),
                       "-o",
                       "json"};
    command.insert(command.end(), words.begin(), words.end());
    const std::string text = run(command).output;
    return Json::parse(text.substr(0, text.rfind('}') + 1), nullptr, false);
  }
  void check(const Command& words, const std::string& kind) const {
    const Json document = printed(words);
    SCOPED_TRACE(::testing::PrintToString(words));
    ASSERT_TRUE(document.is_object());
    EXPECT_EQ(document["kind"], kind);
    EXPECT_THAT(violations(document), IsEmpty());
  }
};

TEST_F(Schemas, EachCommandAndMap) {
  const std::vector<std::pair<Command, std::string>> commands = {
      {{"status"}, "NodeStatus"},
      {{"service", "list"}, "ServiceList"},
      {{"service", "get", kVip}, "Service"},
      {{"service", "get", "10.96.0.9:80"}, "Failure"},
      {{"route", "list"}, "RouteList"},
      {{"endpoint", "list"}, "EndpointList"},
      {{"explain", kVip, "--source", "10.244.0.7", "--samples", "2"}, "Explanation"},
      {{"explain", "[fd00::1]:80"}, "Explanation"},
      {{"explain", "10.96.0.1:81"}, "Explanation"},
      {{"connect", kVip, "--count", "2"}, "ConnectReport"},
      {{"verify"}, "Verification"},
      {{"ejection", "list", "--returned"}, "EjectionList"},
      {{"monitor", "--interval", "10ms", "--times", "1"}, "Events"},
      {{"monitor", "--selections", "--interval", "10ms", "--times", "1"}, "Events"},
      {{"top", "--interval", "10ms", "--times", "1"}, "Top"},
      {{"map", "list"}, "MapList"},
      {{"log", "list"}, "LogLevels"},
      {{"version"}, "Version"}};
  for (const auto& [words, kind] : commands) check(words, kind);
  for (const std::string& map : kMapNames) {
    check({"map", "dump", map}, map == "events" || map == "asked" ? "Failure" : "MapDump");
  }
}

TEST_F(Schemas, TheAgentsStatus) {
  const Json status = printed({"status"});
  ASSERT_TRUE(status["agent"]["status"].is_object()) << status.dump(2);
  EXPECT_EQ(status["agent"]["status"]["kind"], "AgentStatus");
  EXPECT_THAT(violations(status["agent"]["status"]), IsEmpty());
}

}  // namespace
}  // namespace sockmesh::test
