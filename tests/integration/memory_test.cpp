// SPDX-License-Identifier: Apache-2.0
// Memory that an answer to people took is the system's again afterwards.
#include <cstdlib>
#include <fstream>
#include <string>

#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

constexpr int kServices = 2000;

class Memory : public MeshTest {
 protected:
  // The agent's own memory, in MiB.
  int mebibytes() const {
    std::ifstream file("/proc/" + std::to_string(mesh_->agent().pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("RssAnon:")) return std::atoi(line.c_str() + 8) / 1024;
    }
    return 0;
  }
};

TEST_F(Memory, OfConfigDumpsIsGivenBack) {
  for (int i = 0; i < kServices; ++i) {
    const std::string number = std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
    mesh_->serve("s" + std::to_string(i) + ".yaml",
                 serviceYaml("10.97." + number + ":80", "cluster-" + std::to_string(i),
                             {"10.98." + number + ":8080", "10.99." + number + ":8080"}));
  }
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->awaitImage(
      [](const KernelImage& image) { return image.services.size() == std::size_t{kServices}; }));
  const int before = mebibytes();
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE(mesh_->get("/config_dump").find("cluster-1999"), std::string::npos);
  }
  EXPECT_TRUE(eventually([&] { return mebibytes() <= before + 12; }, std::chrono::seconds(20)))
      << before << " MiB before, now " << mebibytes();
}

}  // namespace
}  // namespace sockmesh::test
