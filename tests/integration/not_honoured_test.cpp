// SPDX-License-Identifier: Apache-2.0
// What the control plane configures and a connect() does not do is reported to the operator: by the
// log, the metrics and sockmeshctl, with the agent alive and dead.
#include "integration/mesh_test.h"
#include "support/process.h"

namespace sockmesh::test {
namespace {

constexpr const char* kHashesAHeader = R"(  load_balancing_policy:
    policies:
    - typed_extension_config:
        name: maglev
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev
          consistent_hashing_lb_config: { hash_policy: [ { header: { header_name: x-user } } ] }
)";
constexpr const char* kChecksHealth = R"(  health_checks:
  - { timeout: 1s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 2, tcp_health_check: {} }
)";

class NotHonouredFields : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    mesh_->serve("a.yaml", serviceYaml(kVip, "reviews", {"127.0.1.1:80", "127.0.1.2:80"},
                                       std::string(kHashesAHeader) + kChecksHealth));
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(
        mesh_->awaitImage([](const KernelImage& image) { return !image.services.empty(); }));
  }

  std::string ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs()});
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, 0) << ran.output;
    return ran.output;
  }

  static void expectIn(const std::string& text, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
    }
  }
};

TEST_F(NotHonouredFields, AreToldByLogMetricsStatusAndExplain) {
  expectIn(mesh_->agent().log(), {"cluster reviews: without effect at connect(): health_checks: "});
  expectIn(mesh_->get("/metrics"),
           {"sockmesh_services_needing_layer7 1\n",
            "sockmesh_cluster_needs_layer7{cluster=\"reviews\",hash_policy=\"header x-user\"} 1\n",
            "sockmesh_xds_not_honoured_resources{type=\"CDS\"} 1\n"});
  expectIn(ctl({"status"}), {"hash policy: header x-user (cluster reviews)",
                             "health_checks   endpoints are not checked actively"});
  expectIn(ctl({"explain", kVip}),
           {"Hash: random, no hash policy names the client's address\n",
            "Needs layer 7: hash policy: header x-user (cluster reviews)",
            "Not honoured: health_checks: endpoints are not checked actively (cluster reviews)"});
}

TEST_F(NotHonouredFields, WithTheAgentDeadTheKernelStillKnowsOfLayer7) {
  mesh_->killAgent();
  const std::string reason =
      "a route or a hash policy needs a request: its path, a header or the like";
  expectIn(ctl({"status"}), {"Needing layer 7: 1 service", reason});
  expectIn(ctl({"explain", kVip}), {"Needs layer 7: " + reason, "Agent: not reachable"});
}

TEST_F(NotHonouredFields, EndWhenTheControlPlaneTakesThemBack) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "reviews", {"127.0.1.1:80"}));
  EXPECT_TRUE(mesh_->agent().awaitLog("cluster reviews: everything in it has its effect now"))
      << mesh_->agent().log();
  EXPECT_TRUE(eventually([&] {
    const std::string metrics = mesh_->get("/metrics");
    return metrics.find("sockmesh_services_needing_layer7 0\n") != std::string::npos &&
           metrics.find("sockmesh_cluster_needs_layer7{") == std::string::npos;
  })) << mesh_->get("/metrics");
}

}  // namespace
}  // namespace sockmesh::test
