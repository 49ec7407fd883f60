// SPDX-License-Identifier: Apache-2.0
// A very large assignment does not stop the agent: its control loop goes on between the slices.
#include <cmath>

#include "integration/gated_control_plane.h"
#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

constexpr const char* kOther = "10.96.0.2:80";
constexpr int kEndpoints = 60'000;

class BigAssignment : public MeshTest {
 protected:
  // "10.64.X.Y:PORT", all different.
  static std::vector<std::string> many(int port) {
    std::vector<std::string> endpoints;
    for (int i = 0; i < kEndpoints; ++i) {
      endpoints.push_back("10." + std::to_string(64 + i / 65536) + "." +
                          std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + ":" +
                          std::to_string(port));
    }
    return endpoints;
  }
  // NaN where there is no such metric.
  double metric(const std::string& name) const {
    const std::string text = "\n" + mesh_->get("/metrics");
    const auto found = text.find("\n" + name + " ");
    if (found == std::string::npos) return std::nan("");
    return std::stod(text.substr(found + name.size() + 2));
  }
  bool hasHosts(const std::string& vip, std::size_t count) const {
    return eventually(
        [&] {
          const KernelImage image = mesh_->image();
          const auto found = image.services.find({at(vip), Protocol::kTcp});
          return found != image.services.end() &&
                 found->second.service->groups[0]->hosts.size() == count;
        },
        std::chrono::seconds(60));
  }

  GatedControlPlane server_;
};

// The longest turn is a slice, and neither the pass nor a sweep. All grow alike on a busy machine.
TEST_F(BigAssignment, TheLoopHasShortTurnsWhileItIsWritten) {
  server_.detectOutliers(std::chrono::seconds(1));
  server_.serve(kVip, "a", {hosts_[0]});
  mesh_->startAgent({"--xds-address", server_.address()});
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  server_.serve(kOther, "big", many(80));
  ASSERT_TRUE(hasHosts(kOther, kEndpoints)) << mesh_->agent().log();
  // All of them are replaced, and the old ones freed.
  server_.serve(kOther, "big", many(81));
  server_.serve(kVip, "a", {hosts_[1]});
  ASSERT_TRUE(hasHosts(kVip, 1));
  ASSERT_TRUE(eventually(
      [&] {
        const KernelImage image = mesh_->image();
        return image.endpoints.size() == kEndpoints + 1U;
      },
      std::chrono::seconds(60)));
  EXPECT_EQ(mesh_->statusOf("/healthz"), 200);
  const double longest = metric("sockmesh_loop_turn_longest_seconds");
  const double all = metric("sockmesh_loop_turn_duration_seconds_sum");
  EXPECT_GT(metric("sockmesh_loop_turn_duration_seconds_count"), 20);
  EXPECT_LT(longest, all / 3) << "one turn did most of the work";
}

}  // namespace
}  // namespace sockmesh::test
