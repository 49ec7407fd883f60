// SPDX-License-Identifier: Apache-2.0
// An agent that starts while the control plane is away, as after a reboot of the node: nothing is
// pinned, and the cache file alone knows the services.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Cache : public MeshTest {
 protected:
  std::string file() const { return sandbox_->folder() + "/cache/resources"; }
  std::vector<std::string> config(const std::string& more = "") const {
    return mesh_->agentConfig("ads: {cache_path: " + file() + more + "}");
  }
  // SIGTERM, and what a reboot does to bpffs.
  void endAgentAndReboot() {
    mesh_->agent().signal(SIGTERM);
    EXPECT_EQ(mesh_->agent().wait(), 0);
    const Ran ran = run({binary("sockmeshd"), "--cleanup", "--bpffs-root", sandbox_->bpffs()});
    EXPECT_EQ(ran.code, 0) << ran.output;
  }
};

TEST_F(Cache, AnAgentWithoutItsControlPlaneServesWhatWasServedLast) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent(config());
  ASSERT_TRUE(mesh_->ready());
  endAgentAndReboot();
  mesh_->stopControlPlane();

  mesh_->startAgent(config());
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    return image.services.contains({at(kVip), Protocol::kTcp});
  }));
  EXPECT_THAT(mesh_->get("/status"), Not(HasSubstr("\"staleSince\":null")));
  EXPECT_THAT(mesh_->get("/metrics"), HasSubstr("sockmesh_xds_stale 1"));

  mesh_->serve("b.yaml", serviceYaml("10.96.0.2:80", "b", {hosts_[1]}));
  mesh_->startControlPlane();
  EXPECT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    return image.services.contains({at("10.96.0.2:80"), Protocol::kTcp});
  }));
  EXPECT_TRUE(eventually(
      [&] { return mesh_->get("/metrics").find("sockmesh_xds_stale 0") != std::string::npos; }));
}

TEST_F(Cache, ADamagedFileIsReportedAndTheAgentWaits) {
  std::filesystem::create_directory(sandbox_->folder() + "/cache");
  std::ofstream(file()) << "not a cache, but long enough to be one";
  mesh_->startAgent(config());
  EXPECT_TRUE(mesh_->agent().awaitLog("is no cache of sockmeshd"));
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log() << mesh_->controlPlane().log()
                              << mesh_->get("/readyz");
}

TEST_F(Cache, TheSecondControlPlaneServesWhileTheFirstIsAway) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  auto flags = mesh_->agentConfig("ads: {fallback_addresses: ['127.0.0.1:18000']}");
  flags.insert(flags.end(), {"--xds-address", "127.0.0.1:18001"});
  mesh_->startAgent(flags);
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
