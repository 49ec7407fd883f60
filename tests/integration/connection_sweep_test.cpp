// SPDX-License-Identifier: Apache-2.0
// Connection records whose sockets are gone although no program was told: a starting agent finds
// and ends the records. The log names programs that take callbacks away.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "inspect/connection_records.h"
#include "integration/mesh_test.h"
#include "maps/pin_path.h"
#include "tests/rival.skel.h"

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

  // No program hears of the sockets that are closed now.
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

// A sock_ops program of somebody else that runs behind ours and replaces the callbacks.
class Rival {
 public:
  explicit Rival(const std::string& cgroup) : rival_(rival_bpf::open()) {
    if (rival_ == nullptr) return;
    rival_->rodata->in_callbacks = 1ULL << BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB;
    if (rival_bpf::load(rival_) != 0) return;
    const UniqueFd folder(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    link_ = bpf_program__attach_cgroup(rival_->progs.rival, folder.get());
  }
  ~Rival() {
    bpf_link__destroy(link_);
    rival_bpf::destroy(rival_);
  }
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;
  bool attached() const { return link_ != nullptr; }
  // As the log names it.
  std::string name() const {
    bpf_prog_info info{};
    std::uint32_t length = sizeof(info);
    bpf_obj_get_info_by_fd(bpf_program__fd(rival_->progs.rival), &info, &length);
    return "rival#" + std::to_string(info.id);
  }

 private:
  rival_bpf* rival_;
  bpf_link* link_ = nullptr;
};

TEST_F(ConnectionSweepTest, TheLogNamesTheProgramThatTakesCallbacksAway) {
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  mesh_->killAgent();
  const Rival rival(sandbox_->cgroup());
  ASSERT_TRUE(rival.attached());
  {
    const UniqueFd client = std::move(connectTo(at(kVip))).value();
    const UniqueFd server = acceptOn(listeners_[0]);
  }
  mesh_->startAgent();
  EXPECT_TRUE(
      mesh_->agent().awaitLog("another sock_ops program took TCP's callbacks away from 1 "
                              "connections"))
      << mesh_->agent().log();
  EXPECT_NE(mesh_->agent().log().find("runs behind ours: " + rival.name()), std::string::npos)
      << mesh_->agent().log();
}

}  // namespace
}  // namespace sockmesh::test
