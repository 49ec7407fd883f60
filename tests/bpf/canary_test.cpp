// SPDX-License-Identifier: Apache-2.0
// connect() without a packet: where it leads, that it sends nothing, and what `status` makes of it.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "inspect/connection_records.h"
#include "support/datapath_test.h"
#include "tools/sockmeshctl/canary.h"
#include "tools/sockmeshctl/cli.h"
#include "tools/sockmeshctl/silent_connect.h"

namespace sockmesh::test {
namespace {

// Without a program there is a route to it, too.
const char* const kVip = "127.96.0.1:80";

class CanaryTest : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    for (const char* address : {"127.0.0.2:0", "127.0.0.3:0"}) {
      SocketAddress backend = at(address);
      listeners_.push_back(std::move(listenOn(backend)).value());
      backends_.push_back(backend);
    }
    apply(TableBuilder().service(kVip, "a", {backends_[0].toString(), backends_[1].toString()}));
  }
  bool nothingCame() const {
    for (const UniqueFd& listener : listeners_) {
      fcntl(listener.get(), F_SETFL, O_NONBLOCK);
      if (UniqueFd(accept4(listener.get(), nullptr, nullptr, 0)).valid()) return false;
    }
    return true;
  }
  ctl::Canary canary() const {
    const auto attachments = readAttachments(sandbox_->bpffs());
    const auto all =
        ctl::tryCanaries(KernelImage::read(datapath_->maps()).value(), attachments.value());
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? ctl::Canary() : all.front();
  }
  std::string status(int code) const {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(
        ctl::runCli({"status", "--bpffs-root", sandbox_->bpffs(), "--admin-address", "127.0.0.1:1"},
                    out, err),
        code)
        << out.str();
    return out.str();
  }

  std::vector<SocketAddress> backends_;
  std::vector<UniqueFd> listeners_;
};

TEST_F(CanaryTest, ASilentConnectLeadsToAnEndpointAndSendsNothing) {
  const auto picks = ctl::connectSilently(at(kVip), 400);
  ASSERT_TRUE(picks) << picks.error().message();
  std::map<SocketAddress, int> counts;
  for (const auto& one : *picks) {
    EXPECT_EQ(one.errnum, 0);
    ++counts[one.leadsTo.value_or(SocketAddress())];
  }
  EXPECT_EQ(counts, (std::map<SocketAddress, int>{{backends_[0], 200}, {backends_[1], 200}}));
  EXPECT_TRUE(nothingCame());
  // Each is a selection that is over, and neither a success nor a failure.
  const auto stats = statsOf("a", backends_[0].toString());
  EXPECT_EQ(stats.selected, 200u);
  EXPECT_EQ(stats.established, 0u);
  EXPECT_EQ(stats.failed[SM_FAILURE_REFUSED] + stats.failed[SM_FAILURE_TIMED_OUT], 0u);
  EXPECT_EQ(readConnections(datapath_->maps()).size(), 0u);
}

TEST_F(CanaryTest, AnAddressThatIsNoVipLeadsToItself) {
  const auto pick = ctl::connectSilently(at("127.0.9.9:80"), 1);
  ASSERT_TRUE(pick) << pick.error().message();
  EXPECT_EQ(pick->front().leadsTo, at("127.0.9.9:80"));
}

TEST_F(CanaryTest, StatusSaysThatTheProgramsAreEffective) {
  EXPECT_EQ(canary().result, ctl::Canary::Result::kRewritten);
  EXPECT_NE(status(0).find("Effective (connect4): yes, a connect() to 127.96.0.1:80"),
            std::string::npos);
}

// All programs are attached, and yet the VIP is not found.
TEST_F(CanaryTest, AVipThatIsNotRewrittenIsNoticed) {
  for (std::uint32_t i = 0; i < SM_FILTER_WORDS; ++i) datapath_->maps().frontendFilter[i] = 0;
  EXPECT_EQ(canary().result, ctl::Canary::Result::kNotRewritten);
  EXPECT_NE(status(69).find("Effective (connect4): NO, a connect() to 127.96.0.1:80"),
            std::string::npos);
}

// A program on a cgroup below ours runs first.
class Foreign {
 public:
  // Its connect4 program returns `verdict`: 1 lets a connect() through, 0 denies it.
  Foreign(const std::string& cgroup, int verdict) : folder_(cgroup + "/foreign") {
    mkdir(folder_.c_str(), 0755);
    move(folder_);
    std::array<bpf_insn, 2> code{};
    code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
    code[0].imm = verdict;
    code[1].code = BPF_JMP | BPF_EXIT;
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
    program_ = UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "foreign_connect", "GPL",
                                      code.data(), code.size(), &options));
    const UniqueFd fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(
        bpf_prog_attach(program_.get(), fd.get(), BPF_CGROUP_INET4_CONNECT, BPF_F_ALLOW_MULTI), 0);
    home_ = cgroup;
  }
  ~Foreign() {
    move(home_);
    rmdir(folder_.c_str());
  }

 private:
  static void move(const std::string& cgroup) {
    std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
  }
  std::string folder_;
  std::string home_;
  UniqueFd program_;
};

TEST_F(CanaryTest, AForeignProgramThatGetsThereFirstIsNamed) {
  const Foreign foreign(sandbox_->cgroup(), 1);
  const ctl::Canary found = canary();
  EXPECT_EQ(found.result, ctl::Canary::Result::kRewritten);
  ASSERT_EQ(found.before.size(), 1u);
  EXPECT_EQ(found.before[0].name, "foreign_connect");
  EXPECT_NE(status(0).find("Before sockmesh on connect4: foreign_connect#"), std::string::npos);
}

TEST_F(CanaryTest, AForeignProgramThatDeniesIsNamed) {
  const Foreign foreign(sandbox_->cgroup(), 0);
  const std::string text = status(69);
  EXPECT_NE(text.find("is denied (Operation not permitted)"), std::string::npos) << text;
  EXPECT_NE(text.find("Before sockmesh on connect4: foreign_connect#"), std::string::npos) << text;
}

TEST_F(CanaryTest, OutsideTheCgroupItIsNotKnown) {
  ASSERT_TRUE(sandbox_->leave());
  const ctl::Canary outside = canary();
  ASSERT_TRUE(sandbox_->enter());
  EXPECT_EQ(outside.result, ctl::Canary::Result::kUnknown);
  EXPECT_EQ(outside.problem, "this command runs outside the cgroup of the programs");
}

}  // namespace
}  // namespace sockmesh::test
