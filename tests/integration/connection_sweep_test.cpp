// SPDX-License-Identifier: Apache-2.0
// Connection records whose sockets went while nobody told: a starting agent finds and ends them.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>

#include "datapath/pin_path.h"
#include "inspect/connection_records.h"
#include "integration/mesh_test.h"

namespace sockmesh::test {
namespace {

using ConnectionSweepTest = MeshTest;

TEST_F(ConnectionSweepTest, AStartingAgentEndsWhatIsLeftFromBefore) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {"203.0.113.1:80"}));  // no route here
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
    return image.services.contains({at(kVip), Protocol::kTcp});
  }));
  mesh_->killAgent();

  // Nobody hears of the sockets that are closed now.
  const PinPath pins(sandbox_->bpffs());
  const std::string path = pins.links() + "/sm_sock_release";
  bpf_link* link = bpf_link__open(path.c_str());
  ASSERT_NE(link, nullptr);
  ASSERT_EQ(bpf_link__detach(link), 0);
  bpf_link__destroy(link);
  ASSERT_EQ(unlink(path.c_str()), 0);
  const UniqueFd open = tcpSocket();
  ASSERT_EQ(connectErrno(open.get(), at(kVip)), ENETUNREACH);
  for (int i = 0; i < 29; ++i) {
    const UniqueFd client = tcpSocket();
    ASSERT_EQ(connectErrno(client.get(), at(kVip)), ENETUNREACH);
  }
  const auto maps = KernelMaps::open(pins.maps(), MapAccess::kReadOnly);
  ASSERT_TRUE(maps) << maps.error().message();
  ASSERT_EQ(readConnections(**maps).size(), 30u);

  mesh_->startAgent();
  EXPECT_TRUE(
      eventually([&] { return readConnections(**maps).size() == 1; }, std::chrono::seconds(20)))
      << readConnections(**maps).size();
  EXPECT_NE(mesh_->get("/metrics").find(R"(sockmesh_datapath_events_total{event="conn_swept"} 29)"),
            std::string::npos);
  EXPECT_TRUE(mesh_->agent().awaitLog("29 connection records ended"));
}

}  // namespace
}  // namespace sockmesh::test
