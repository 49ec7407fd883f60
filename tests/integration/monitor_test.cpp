// SPDX-License-Identifier: Apache-2.0
// `sockmeshctl monitor --selections` as a process beside the agent: what it shows, without the
// agent as well, and that nothing is left of it when it is killed.
#include <csignal>

#include "base/defaults.h"
#include "integration/mesh_test.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

// On a machine that does other things, too.
constexpr auto kPatience = std::chrono::seconds(120);

class Monitor : public MeshTest {
 protected:
  void SetUp() override {
    MeshTest::SetUp();
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
    mesh_->startControlPlane();
    mesh_->startAgent();
    ASSERT_TRUE(eventually([&] { return mesh_->ready(); }, kPatience)) << mesh_->agent().log();
    ASSERT_TRUE(
        mesh_->awaitImage([](const KernelImage& image) { return !image.services.empty(); }));
  }
  std::unique_ptr<Process> monitor(const std::string& name) const {
    return std::make_unique<Process>(
        std::vector<std::string>{binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(),
                                 "monitor", "--selections", "--event", "selection", "--interval",
                                 "20ms", "--no-headers"},
        logOf(name));
  }
  std::string logOf(const std::string& name) const { return sandbox_->folder() + "/" + name; }
  // Connects until the process has shown a selection.
  bool shows(const Process& process) const {
    return eventually(
        [&] {
          EXPECT_TRUE(connectTo(at(kVip)));
          return process.log().find(kVip) != std::string::npos;
        },
        kPatience);
  }
  sm_globals globals() const {
    const auto maps = KernelMaps::open(PinPath(sandbox_->bpffs()).maps(), MapAccess::kReadOnly);
    EXPECT_TRUE(maps) << maps.error().message();
    return maps ? (*maps)->globals[0] : sm_globals{};
  }
};

TEST_F(Monitor, NothingIsLeftOfOneThatIsKilled) {
  const auto process = monitor("first");
  EXPECT_TRUE(shows(*process)) << process->log();
  process->signal(SIGKILL);
  process->wait();
  EXPECT_TRUE(eventually(
      [this] {
        EXPECT_TRUE(connectTo(at(kVip)));
        return globals().sample_below == sm_sample_bound(kDefaultTimeOneSelectionIn);
      },
      kPatience));
  const std::uint64_t before = globals().selections;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_EQ(globals().selections, before);
}

TEST_F(Monitor, ShowsSelectionsOfANodeWithoutItsAgent) {
  const auto first = monitor("first");
  EXPECT_TRUE(shows(*first)) << first->log();
  mesh_->killAgent();
  const auto second = monitor("second");
  EXPECT_TRUE(shows(*second)) << second->log();
  EXPECT_TRUE(first->running()) << first->log();
}

}  // namespace
}  // namespace sockmesh::test
