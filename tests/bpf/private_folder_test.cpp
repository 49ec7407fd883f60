// SPDX-License-Identifier: Apache-2.0
// A bpffs that every user may write to (the kernel's default, 1777): another user's folder or lock
// in our place is noticed, and what the agent pins stays out of reach.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "maps/pin_path.h"
#include "support/datapath_test.h"

namespace sockmesh::test {
namespace {

constexpr uid_t kOther = 65534;

// Runs `what` as another user in a child; true if it returned true.
template <typename What>
bool asAnotherUser(What what) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(kOther) != 0 || setuid(kOther) != 0) _exit(99);
    _exit(what() ? 0 : 1);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  return ended == 0;
}

class OpenBpffs : public DatapathTest {
 protected:
  void SetUp() override {
    auto sandbox = Sandbox::create();
    ASSERT_TRUE(sandbox) << sandbox.error().message();
    sandbox_ = std::move(sandbox).value();
    folder_ = PinPath(sandbox_->bpffs()).folder;
    std::filesystem::permissions(sandbox_->folder(), std::filesystem::perms(0755));
    mode(01777);
  }
  void mode(mode_t mode) const { ASSERT_EQ(chmod(sandbox_->bpffs().c_str(), mode), 0); }
  std::string refusal() {
    auto opened = Datapath::open(options());
    return opened ? "" : opened.error().message();
  }
  std::string folder_;
};

TEST_F(OpenBpffs, AnotherUsersFolderInOurPlaceIsRefusedWithItsOwnerAndMode) {
  ASSERT_TRUE(asAnotherUser([&] { return mkdir(folder_.c_str(), 0755) == 0; }));
  EXPECT_TRUE(refusal().starts_with(folder_ + " belongs to uid 65534 and has mode 0755, so that"))
      << refusal();
  // It is not touched by --cleanup either, because what is in it may lead anywhere.
  const auto report = Datapath::cleanup(sandbox_->bpffs());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->leftAlone, std::vector<std::string>{folder_});
  EXPECT_TRUE(std::filesystem::exists(folder_));
  ASSERT_EQ(rmdir(folder_.c_str()), 0);
  EXPECT_EQ(refusal(), "");
}

TEST_F(OpenBpffs, SoIsAFolderOfOursThatOthersMayEnter) {
  ASSERT_EQ(mkdir(folder_.c_str(), 0700), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_TRUE(refusal().starts_with(folder_ + " belongs to uid 0 and has mode 0777, so that"))
      << refusal();
  ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  EXPECT_EQ(refusal(), "");
}

TEST_F(OpenBpffs, SoIsASymbolicLink) {
  ASSERT_TRUE(asAnotherUser([&] { return symlink("elsewhere", folder_.c_str()) == 0; }));
  EXPECT_TRUE(refusal().starts_with(folder_ + " is a symbolic link of uid 65534")) << refusal();
}

TEST_F(OpenBpffs, WithoutTheStickyBitAnotherUserCouldRenameOurFolder) {
  mode(0777);
  EXPECT_TRUE(refusal().starts_with(sandbox_->bpffs() + " belongs to uid 0 and has mode 0777, so"))
      << refusal();
  mode(01777);
  ASSERT_EQ(chown(sandbox_->bpffs().c_str(), kOther, kOther), 0);
  EXPECT_TRUE(refusal().starts_with(sandbox_->bpffs() + " belongs to uid 65534")) << refusal();
}

// A lock on the bpffs itself, which everybody may open, means nothing.
TEST_F(OpenBpffs, AnotherUsersLockDoesNotKeepTheAgentOut) {
  int locked[2];
  int done[2];
  ASSERT_EQ(pipe(locked), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(done[1]);
    if (setuid(kOther) != 0) _exit(99);
    const int fd = ::open(sandbox_->bpffs().c_str(), O_RDONLY | O_DIRECTORY);
    char byte = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 'y' : 'n';
    [[maybe_unused]] ssize_t n = write(locked[1], &byte, 1);
    n = read(done[0], &byte, 1);
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(locked[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_EQ(refusal(), "");
  for (const int fd : {locked[0], locked[1], done[0], done[1]}) close(fd);
  waitpid(child, nullptr, 0);
}

TEST_F(OpenBpffs, NobodyElseReachesWhatTheAgentPins) {
  open();
  const PinPath pins(sandbox_->bpffs());
  const std::string link = pins.links() + "/sm_connect4";
  ASSERT_TRUE(std::filesystem::exists(link));
  EXPECT_FALSE(asAnotherUser([&] { return unlink(link.c_str()) == 0; }));
  EXPECT_FALSE(asAnotherUser([&] { return access(pins.maps().c_str(), R_OK) == 0; }));
  EXPECT_FALSE(
      asAnotherUser([&] { return rename(folder_.c_str(), (folder_ + "-gone").c_str()) == 0; }));
  EXPECT_FALSE(asAnotherUser([&] { return ::open(folder_.c_str(), O_RDONLY) >= 0; }))
      << "who can open it can lock it";
  // A second agent is kept out by the lock.
  EXPECT_TRUE(refusal().starts_with("another sockmeshd runs on ")) << refusal();
}

TEST_F(OpenBpffs, AnAgentOfAnotherVersionKeepsUsOut) {
  const std::string other = sandbox_->bpffs() + "/sockmesh-v1000";
  ASSERT_EQ(mkdir(other.c_str(), 0700), 0);
  const UniqueFd lock(::open(other.c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(refusal().starts_with("another sockmeshd runs on ")) << refusal();
  ASSERT_EQ(flock(lock.get(), LOCK_UN), 0);
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace sockmesh::test
