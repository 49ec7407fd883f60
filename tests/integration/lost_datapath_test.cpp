// SPDX-License-Identifier: Apache-2.0
// Programs, cgroups and pins that are removed under a running agent: it notices, reports it, and
// restores what can be restored.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "integration/mesh_test.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

class LostDatapath : public MeshTest {
 protected:
  void start(const std::vector<std::string>& flags = {}) {
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
    mesh_->startControlPlane();
    mesh_->startAgent(flags);
    ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
    ASSERT_TRUE(mesh_->awaitImage([](const KernelImage& image) {
      return image.services.contains({at(kVip), Protocol::kTcp});
    }));
    ASSERT_TRUE(connectTo(at(kVip)));
  }
  UniqueFd link(const std::string& program) const {
    return UniqueFd(bpf_obj_get((links() + "/" + program).c_str()));
  }
  std::string links() const { return PinPath(sandbox_->bpffs()).links(); }
  bool metricSays(const std::string& line) const {
    return eventually(
        [&] { return mesh_->get("/metrics").find("\n" + line + "\n") != std::string::npos; },
        std::chrono::seconds(20));
  }
  bool readinessSays(const std::string& text) const {
    return eventually([&] { return mesh_->get("/readyz").find(text) != std::string::npos; },
                      std::chrono::seconds(20));
  }
  Ran status() const {
    return run({binary("sockmeshctl"), "--bpffs-root", sandbox_->bpffs(), "status"});
  }
};

TEST_F(LostDatapath, ADetachedProgramIsAttachedAgain) {
  start();
  for (const std::string program : {"sm_connect4", "sm_sock_ops"}) {
    ASSERT_EQ(bpf_link_detach(link(program).get()), 0);
    EXPECT_TRUE(metricSays("sockmesh_datapath_attach_lost_total{program=\"" + program + "\"} 1"));
    EXPECT_TRUE(metricSays("sockmesh_datapath_reattached_total{program=\"" + program + "\"} 1"));
    EXPECT_TRUE(metricSays("sockmesh_datapath_attached{program=\"" + program + "\"} 1"));
    EXPECT_TRUE(mesh_->agent().awaitLog(program + " is not attached any more"));
    EXPECT_TRUE(mesh_->agent().awaitLog(program + " is attached again"));
  }
  EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_EQ(mesh_->statusOf("/readyz"), 200);
  EXPECT_EQ(status().code, 0) << status().output;
  mesh_->killAgent();
  EXPECT_TRUE(connectTo(at(kVip))) << "the new link is pinned";
}

// As `bpftool link` or another tool's update could do: the link is there, with another program.
TEST_F(LostDatapath, AnotherProgramBehindOurLinkIsReplaced) {
  start();
  const std::array<bpf_insn, 2> allow = {
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
  const UniqueFd other(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "other", "GPL", allow.data(),
                                     allow.size(), &options));
  ASSERT_TRUE(other.valid());
  ASSERT_EQ(bpf_link_update(link("sm_connect4").get(), other.get(), nullptr), 0);
  EXPECT_TRUE(metricSays("sockmesh_datapath_reattached_total{program=\"sm_connect4\"} 1"));
  EXPECT_TRUE(connectTo(at(kVip)));
}

TEST_F(LostDatapath, ACgroupThatIsGoneMakesTheAgentUnreadyUntilItIsThereAgain) {
  const std::string cgroup = sandbox_->cgroup() + "/root";
  ASSERT_EQ(mkdir(cgroup.c_str(), 0755), 0);
  mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
  mesh_->startControlPlane();
  mesh_->startAgent({"--cgroup-root", cgroup});
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_EQ(rmdir(cgroup.c_str()), 0);
  EXPECT_TRUE(readinessSays("sm_connect4 is not attached: its link was detached; "))
      << mesh_->get("/readyz");
  EXPECT_EQ(mesh_->statusOf("/readyz"), 503);
  EXPECT_TRUE(metricSays("sockmesh_datapath_attached{program=\"sm_connect4\"} 0"));
  EXPECT_TRUE(metricSays("sockmesh_datapath_attach_lost_total{program=\"sm_connect4\"} 1"));
  EXPECT_EQ(status().code, 69) << status().output;
  // The tracepoint is on no cgroup.
  EXPECT_NE(status().output.find("Programs: 1 of 11 attached"), std::string::npos);

  ASSERT_EQ(mkdir(cgroup.c_str(), 0755), 0);
  EXPECT_TRUE(mesh_->ready()) << mesh_->agent().log();
  EXPECT_TRUE(metricSays("sockmesh_datapath_reattached_total{program=\"sm_connect4\"} 1"));
  EXPECT_EQ(status().code, 0) << status().output;
  mesh_->agent().signal(SIGTERM);
  mesh_->agent().wait();
  rmdir(cgroup.c_str());
}

TEST_F(LostDatapath, WithoutAnAgentStatusFailsWhereProgramsAreDetached) {
  start();
  mesh_->killAgent();
  EXPECT_EQ(status().code, 0) << status().output;
  ASSERT_EQ(bpf_link_detach(link("sm_connect6").get()), 0);
  EXPECT_EQ(status().code, 69) << status().output;
  // The next agent attaches what is missing.
  mesh_->startAgent();
  EXPECT_TRUE(mesh_->ready());
  EXPECT_EQ(status().code, 0) << status().output;
}

TEST_F(LostDatapath, PinsThatAreRemovedComeBack) {
  start();
  std::filesystem::remove_all(PinPath(sandbox_->bpffs()).folder);
  EXPECT_TRUE(mesh_->agent().awaitLog("pins were gone, and are there again"));
  EXPECT_TRUE(eventually([&] { return status().code == 0; }, std::chrono::seconds(20)))
      << status().output;
  EXPECT_TRUE(connectTo(at(kVip)));
  mesh_->killAgent();
  EXPECT_TRUE(connectTo(at(kVip)));
  mesh_->startAgent();
  EXPECT_TRUE(mesh_->ready());
  EXPECT_TRUE(mesh_->agent().awaitLog("adopted 1 services and 1 endpoints, 0 writes"))
      << mesh_->agent().log();
}

TEST_F(LostDatapath, ABpffsThatIsUnmountedIsMountedAgain) {
  start();
  ASSERT_EQ(umount2(sandbox_->bpffs().c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(mesh_->agent().awaitLog("pins were gone, and are there again"));
  mesh_->killAgent();
  EXPECT_TRUE(connectTo(at(kVip)));
}

}  // namespace
}  // namespace sockmesh::test
