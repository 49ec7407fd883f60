// SPDX-License-Identifier: Apache-2.0
// A new agent takes over the programs of the agent before if it would load the very same. In every
// other case it loads them, and connects go on all the while.
#include <bpf/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <string>

#include "maps/pin_path.h"
#include "maps/program_names.h"
#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

namespace fs = std::filesystem;

class AdoptedPrograms : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    SocketAddress address = at("127.0.0.1:0");
    listener_ = std::move(listenOn(address)).value();
    tables_.service("10.96.0.1:80", "a", {address.toString()});
    apply(tables_);
    ASSERT_FALSE(datapath_->programsAdopted());
  }
  PinPath pins() const { return PinPath(sandbox_->bpffs()); }
  // Where the programs are pinned; its name says what they were made of.
  fs::path folder() const {
    fs::path only;
    for (const auto& entry : fs::directory_iterator(pins().programs())) {
      EXPECT_TRUE(only.empty()) << "others are removed";
      only = entry.path();
    }
    return only;
  }
  UniqueFd link(const std::string& program) const {
    return UniqueFd(bpf_obj_get((pins().links() + "/" + program).c_str()));
  }
  // The kernel's ids of the programs behind the links.
  std::map<std::string, std::uint32_t> programs() const {
    std::map<std::string, std::uint32_t> ids;
    for (const std::string& name : programNames()) {
      bpf_link_info info{};
      std::uint32_t length = sizeof(info);
      EXPECT_EQ(bpf_obj_get_info_by_fd(link(name).get(), &info, &length), 0) << name;
      ids[name] = info.prog_id;
    }
    return ids;
  }
  void expectServing() {
    EXPECT_TRUE(connectTo(at("10.96.0.1:80")));
    acceptOn(listener_);
    EXPECT_EQ(writer_->apply(tables_.build()).writes, 0u);
  }
  void expectAdopted() {
    const auto before = programs();
    open();
    EXPECT_TRUE(datapath_->programsAdopted());
    EXPECT_EQ(programs(), before);
    expectServing();
  }
  // The next agent loads the programs, and the one after it adopts them.
  void expectLoaded() {
    const auto before = programs();
    open();
    EXPECT_FALSE(datapath_->programsAdopted());
    const auto after = programs();
    for (const auto& [name, id] : before) EXPECT_NE(after.at(name), id) << name;
    expectServing();
    expectAdopted();
  }

  UniqueFd listener_;
  TableBuilder tables_;
};

TEST_F(AdoptedPrograms, TheSameAreNotLoadedAgain) {
  expectAdopted();
  expectAdopted();
  EXPECT_FALSE(folder().empty());
}

// What the agent runs itself is adopted, too: to register, to uneject and to sweep.
TEST_F(AdoptedPrograms, TheAgentsOwnProgramsWork) {
  const auto client = connectTo(at("10.96.0.1:80"));
  ASSERT_TRUE(client);
  open();
  ASSERT_TRUE(datapath_->programsAdopted());
  EXPECT_TRUE(datapath_->registerAgent());
  EXPECT_FALSE(connectTo(at("10.96.0.1:80"))) << "the agent's own sockets are not rewritten";
  EXPECT_EQ(datapath_->maps().globals[0].agent_tgid, static_cast<__u32>(getpid()));
  EXPECT_EQ(sweep().ended, 0u);
  const auto ejected = datapath_->ejections().uneject(1);
  ASSERT_TRUE(ejected) << ejected.error().message();
  EXPECT_FALSE(*ejected);
}

// As after an upgrade, which has another object file or other settings.
TEST_F(AdoptedPrograms, OfAnotherMakeAreReplacedAndRemoved) {
  const fs::path own = folder();
  const fs::path others = own.parent_path() / "0123456789abcdef";
  fs::rename(own, others);
  expectLoaded();
  EXPECT_EQ(folder(), own);
}

TEST_F(AdoptedPrograms, OneThatIsMissingMakesAllBeLoaded) {
  ASSERT_EQ(unlink((folder() / "sm_sweep_sets").c_str()), 0);
  expectLoaded();
}

TEST_F(AdoptedPrograms, OneInThePlaceOfAnotherMakesAllBeLoaded) {
  ASSERT_EQ(unlink((folder() / "sm_connect4").c_str()), 0);
  fs::rename(folder() / "sm_connect6", folder() / "sm_connect4");
  expectLoaded();
}

// An agent that ended while it pinned its programs.
TEST_F(AdoptedPrograms, PinsThatWereNotFinishedAreNotAdopted) {
  fs::rename(folder(), folder().parent_path() / "new");
  ASSERT_EQ(unlink((folder() / "sm_connect4").c_str()), 0);
  expectLoaded();
}

TEST_F(AdoptedPrograms, WithNewMapsTheyAreLoaded) {
  fs::rename(pins().maps() + "/counters", pins().folder + "/counters");
  open();
  EXPECT_FALSE(datapath_->adopted());
  EXPECT_FALSE(datapath_->programsAdopted());
  apply(tables_);
  expectAdopted();
}

TEST_F(AdoptedPrograms, ALinkThatWasDetachedIsMadeAgain) {
  const auto before = programs();
  for (const std::string name : {"sm_connect4", "sm_sock_ops"}) {
    ASSERT_EQ(bpf_link_detach(link(name).get()), 0);
  }
  ASSERT_EQ(unlink((pins().links() + "/sm_sock_error").c_str()), 0);
  open();
  EXPECT_TRUE(datapath_->programsAdopted());
  EXPECT_EQ(programs(), before);
  expectServing();
}

TEST_F(AdoptedPrograms, AnotherProgramBehindALinkIsReplaced) {
  const auto before = programs();
  const std::array<bpf_insn, 2> allow = {
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
  const UniqueFd strange(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "other", "GPL", allow.data(),
                                       allow.size(), &options));
  ASSERT_TRUE(strange.valid());
  ASSERT_EQ(bpf_link_update(link("sm_connect4").get(), strange.get(), nullptr), 0);
  ASSERT_NE(programs(), before);
  open();
  EXPECT_TRUE(datapath_->programsAdopted());
  EXPECT_EQ(programs(), before);
  expectServing();
}

TEST_F(AdoptedPrograms, PinsThatAreRemovedComeBack) {
  const fs::path own = folder();
  fs::remove_all(own);
  datapath_->check();
  EXPECT_EQ(folder(), own);
  expectAdopted();
  fs::remove_all(pins().programs());
  datapath_->check();
  expectAdopted();
}

TEST_F(AdoptedPrograms, CleanupRemovesThem) {
  datapath_.reset();
  ASSERT_TRUE(Datapath::cleanup(sandbox_->bpffs()));
  EXPECT_FALSE(fs::exists(pins().folder));
}

}  // namespace
}  // namespace sockmesh::test
