// SPDX-License-Identifier: Apache-2.0
// What the agent gives up after its start, and what it needs: every feature with exactly the
// capabilities of the table in SECURITY.md, as another user than root.
#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>

#include <bpf/bpf.h>

#include "base/capabilities.h"
#include "integration/mesh_test.h"
#include "maps/pin_path.h"

namespace sockmesh::test {
namespace {

constexpr uid_t kUser = 65534;
const Capabilities kRunning = {CAP_BPF, CAP_NET_ADMIN};

// The value of a line of /proc/.../status.
std::string lineOf(const std::string& statusFile, const std::string& name) {
  std::ifstream file(statusFile);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

std::vector<std::string> threadsOf(pid_t process) {
  std::vector<std::string> files;
  std::error_code gone;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task", gone)) {
    files.push_back(entry.path().string() + "/status");
  }
  return files;
}

class Privileges : public MeshTest {
 protected:
  void serveOne() {
    mesh_->serve("a.yaml", serviceYaml(kVip, "a", {hosts_[0]}));
    mesh_->startControlPlane();
  }
  bool isServed() {
    return eventually([&] { return connectTo(at(kVip)).ok(); }, std::chrono::seconds(20));
  }
  // Where another user may put the agent's files: a bpffs and a folder of its own, and the binary.
  void prepareForUser() {
    ASSERT_EQ(chown(sandbox_->bpffs().c_str(), kUser, kUser), 0);
    run_ = sandbox_->folder() + "/run";
    std::filesystem::create_directory(run_);
    ASSERT_EQ(chown(run_.c_str(), kUser, kUser), 0);
    std::filesystem::copy_file(binary("sockmeshd"), sandbox_->folder() + "/sockmeshd");
  }
  // The agent's command with these capabilities alone ("+bpf,+net_admin"), as kUser.
  std::vector<std::string> asUser(const std::string& capabilities) const {
    const std::string user = std::to_string(kUser);
    std::vector<std::string> command = {"setpriv",
                                        "--reuid",
                                        user,
                                        "--regid",
                                        user,
                                        "--clear-groups",
                                        "--bounding-set",
                                        "-all," + capabilities,
                                        "--inh-caps",
                                        "-all," + capabilities,
                                        "--ambient-caps",
                                        "-all," + capabilities};
    command.push_back(sandbox_->folder() + "/sockmeshd");
    const auto agent = mesh_->agentCommand();
    command.insert(command.end(), agent.begin() + 1, agent.end());
    command.insert(command.end(), {"--admin-socket", run_ + "/admin.sock"});
    return command;
  }
  std::string run_;
};

TEST_F(Privileges, AfterItsStartEveryThreadHasWhatItNeedsAndNoMore) {
  serveOne();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  ASSERT_TRUE(isServed());
  const auto threads = threadsOf(mesh_->agent().pid());
  ASSERT_GE(threads.size(), 5u);
  std::set<std::string> found;
  for (const std::string& thread : threads) {
    EXPECT_EQ(lineOf(thread, "NoNewPrivs"), "1") << thread;
    EXPECT_EQ(lineOf(thread, "Seccomp"), "2") << thread;
    EXPECT_EQ(lineOf(thread, "CapInh"), "0000000000000000") << thread;
    EXPECT_EQ(lineOf(thread, "CapAmb"), "0000000000000000") << thread;
    EXPECT_EQ(lineOf(thread, "CapEff"), lineOf(thread, "CapPrm")) << thread;
    const auto permitted = Capabilities::permittedIn(thread);
    ASSERT_TRUE(permitted) << permitted.error().message();
    EXPECT_TRUE(kRunning.has(*permitted)) << thread << ": " << permitted->names();
    found.insert(permitted->names());
  }
  EXPECT_EQ(found, (std::set<std::string>{"", "CAP_BPF", "CAP_BPF, CAP_NET_ADMIN"}))
      << "connections of the admin server, its workers, the rest";
}

TEST_F(Privileges, TheFilterCanBeTurnedOff) {
  serveOne();
  const std::string config = sandbox_->folder() + "/sockmeshd.yaml";
  std::ofstream(config) << "hardening: { seccomp: false }\n";
  mesh_->startAgent({"--config", config});
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  const std::string status = "/proc/" + std::to_string(mesh_->agent().pid()) + "/status";
  EXPECT_EQ(lineOf(status, "Seccomp"), "0");
  EXPECT_EQ(lineOf(status, "NoNewPrivs"), "1");
}

TEST_F(Privileges, RunsAsAnotherUserWithThreeCapabilities) {
  prepareForUser();
  serveOne();
  Process agent(asUser("+bpf,+net_admin,+perfmon"), sandbox_->folder() + "/user.log");
  ASSERT_TRUE(mesh_->ready()) << agent.log();
  ASSERT_TRUE(isServed()) << agent.log();
  EXPECT_EQ(lineOf("/proc/" + std::to_string(agent.pid()) + "/status", "Uid"),
            "65534\t65534\t65534\t65534");
  // Metrics and repairs need nothing else.
  EXPECT_NE(mesh_->get("/metrics").find("\nsockmesh_datapath_readable 1\n"), std::string::npos);
  const std::string link = PinPath(sandbox_->bpffs()).links() + "/sm_connect4";
  ASSERT_EQ(bpf_link_detach(UniqueFd(bpf_obj_get(link.c_str())).get()), 0);
  EXPECT_TRUE(agent.awaitLog("sm_connect4 is attached again")) << agent.log();
  EXPECT_TRUE(connectTo(at(kVip)));
  // And another start of it adopts what the first one left.
  agent.signal(SIGKILL);
  agent.wait();
  Process next(asUser("+bpf,+net_admin,+perfmon"), sandbox_->folder() + "/next.log");
  ASSERT_TRUE(next.awaitLog("adopted 1 services")) << next.log();
  ASSERT_TRUE(mesh_->ready()) << next.log();
}

TEST_F(Privileges, EachMissingCapabilityIsNamed) {
  prepareForUser();
  const std::pair<const char*, const char*> cases[] = {
      {"+net_admin,+perfmon", "CAP_BPF"},
      {"+bpf,+perfmon", "CAP_NET_ADMIN"},
      {"+bpf,+net_admin", "CAP_PERFMON"},
  };
  for (const auto& [capabilities, missing] : cases) {
    const Ran ran = run(asUser(capabilities));
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.output.find(std::string("capabilities are missing: ") + missing + " "),
              std::string::npos)
        << ran.output;
  }
}

TEST_F(Privileges, WithoutABpffsItNeedsSysAdmin) {
  prepareForUser();
  ASSERT_EQ(umount2(sandbox_->bpffs().c_str(), MNT_DETACH), 0);
  const Ran ran = run(asUser("+bpf,+net_admin,+perfmon"));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.output.find("no bpffs is mounted at " + sandbox_->bpffs() +
                            ", and mounting one failed: Operation not permitted"),
            std::string::npos)
      << ran.output;
}

// The helper alone has CAP_SYS_ADMIN. Its end takes away repairs and nothing else.
TEST_F(Privileges, TheAgentGoesOnWithoutItsHelper) {
  serveOne();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  const std::string pid = std::to_string(mesh_->agent().pid());
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  pid_t helper = 0;
  ASSERT_TRUE(children >> helper);
  const auto permitted = Capabilities::permittedIn("/proc/" + std::to_string(helper) + "/status");
  ASSERT_TRUE(permitted);
  EXPECT_TRUE(permitted->has(CAP_SYS_ADMIN));
  EXPECT_FALSE(permitted->has(CAP_DAC_OVERRIDE)) << permitted->names();
  ASSERT_EQ(kill(helper, SIGKILL), 0);
  ASSERT_EQ(umount2(sandbox_->bpffs().c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(mesh_->agent().awaitLog("the helper process that keeps CAP_SYS_ADMIN is gone"))
      << mesh_->agent().log();
  EXPECT_TRUE(connectTo(at(kVip)));
  EXPECT_EQ(mesh_->statusOf("/healthz"), 200);
}

TEST_F(Privileges, TheHelperEndsWithTheAgent) {
  serveOne();
  mesh_->startAgent();
  ASSERT_TRUE(mesh_->ready()) << mesh_->agent().log();
  const std::string pid = std::to_string(mesh_->agent().pid());
  pid_t helper = 0;
  std::ifstream("/proc/" + pid + "/task/" + pid + "/children") >> helper;
  ASSERT_GT(helper, 0);
  mesh_->killAgent();
  EXPECT_TRUE(eventually([&] { return kill(helper, 0) != 0 && errno == ESRCH; }));
}

}  // namespace
}  // namespace sockmesh::test
