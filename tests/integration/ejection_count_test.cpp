// SPDX-License-Identifier: Apache-2.0
// A count of ejected endpoints that is wrong, whatever made it so, is put right: by a sweep, and by
// an agent that starts.
#include <atomic>

#include "integration/mesh_test.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

class EjectionCount : public MeshTest {
 protected:
  void start(const std::string& interval) {
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0], hosts_[1]},
                                       "  outlier_detection: { interval: " + interval +
                                           ", max_ejection_percent: 50 }\n"));
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
      return image.services.contains({at(kVip), Protocol::kTcp}) && image.clusterNames.size() == 1;
    }));
    auto maps = KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadWrite);
    ASSERT_TRUE(maps) << maps.error().message();
    maps_ = std::move(maps).value();
    counted_ = &maps_->clusterState.at(mesh_->image().clusterNames.begin()->first)->ejected;
  }
  void plant(std::uint32_t count) const { std::atomic_ref<std::uint32_t>(*counted_).store(count); }
  bool putRight() const {
    return eventually([&] { return std::atomic_ref<std::uint32_t>(*counted_).load() == 0; },
                      std::chrono::seconds(20)) &&
           mesh_->agent().awaitLog("too many were counted as ejected; corrected");
  }

  std::unique_ptr<KernelMaps> maps_;
  std::uint32_t* counted_ = nullptr;
};

TEST_F(EjectionCount, ByTheNextSweep) {
  start("1s");
  plant(3);
  EXPECT_TRUE(putRight()) << mesh_->agent().log();
}

TEST_F(EjectionCount, ByTheNextAgent) {
  start("3600s");
  mesh_->killAgent();
  plant(3);
  mesh_->startAgent();
  EXPECT_TRUE(putRight()) << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
