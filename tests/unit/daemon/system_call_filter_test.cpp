// SPDX-License-Identifier: Apache-2.0
// What an agent that was taken over cannot do. Each check runs in a process of its own, because a
// filter stays.
#include "daemon/system_call_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>

namespace sockmesh {
namespace {

constexpr int kNotInstalled = 250;

// The errno of `call` under the filter, or 0.
int filtered(const std::function<int()>& call) {
  const pid_t child = fork();
  if (child == 0) {
    if (!filterSystemCalls()) _exit(kNotInstalled);
    errno = 0;
    _exit(call() < 0 ? errno : 0);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
}

TEST(SystemCallFilter, ForbidsWhatTheAgentNeverDoes) {
  const char* const arguments[] = {"/bin/true", nullptr};
  EXPECT_EQ(
      filtered([&] { return execve("/bin/true", const_cast<char* const*>(arguments), nullptr); }),
      ENOSYS);
  EXPECT_EQ(filtered([] { return unshare(CLONE_NEWUSER); }), ENOSYS);
  EXPECT_EQ(filtered([] { return setns(0, 0); }), ENOSYS);
  EXPECT_EQ(filtered([] { return mount("none", "/tmp", "tmpfs", 0, nullptr); }), ENOSYS);
  EXPECT_EQ(filtered([] { return static_cast<int>(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }),
            ENOSYS);
  EXPECT_EQ(filtered([] { return static_cast<int>(syscall(SYS_perf_event_open, 0, 0, 0, 0, 0)); }),
            ENOSYS);
  EXPECT_EQ(filtered([] { return static_cast<int>(syscall(SYS_init_module, 0, 0, 0)); }), ENOSYS);
  EXPECT_EQ(filtered([] { return static_cast<int>(syscall(SYS_io_uring_setup, 1, 0)); }), ENOSYS);
  EXPECT_EQ(filtered([] { return setuid(65534); }), ENOSYS);
  // A new namespace by clone(), which threads are made with.
  EXPECT_EQ(filtered([] {
              return static_cast<int>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
            }),
            ENOSYS);
}

TEST(SystemCallFilter, ForbidsSocketsThatChangeTheNetwork) {
  for (const int family : {AF_NETLINK, AF_PACKET, AF_VSOCK}) {
    EXPECT_EQ(filtered([family] { return socket(family, SOCK_RAW, 0); }), ENOSYS) << family;
  }
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    EXPECT_EQ(filtered([family] { return socket(family, SOCK_STREAM, 0); }), 0) << family;
  }
}

TEST(SystemCallFilter, AllowsThreadsFilesAndNames) {
  EXPECT_EQ(filtered([] {
              int seen = 0;
              std::thread([&] { seen = 1; }).join();
              return seen - 1;
            }),
            0);
  EXPECT_EQ(filtered([] { return open("/etc/hosts", O_RDONLY); }), 0);
}

TEST(SystemCallFilter, CoversThreadsThatRunAlready) {
  const pid_t child = fork();
  if (child == 0) {
    int ready[2];
    int errnum = 0;
    if (pipe(ready) != 0) _exit(1);
    std::thread other([&] {
      char byte = 0;
      [[maybe_unused]] const ssize_t n = read(ready[0], &byte, 1);
      errnum = unshare(CLONE_NEWUSER) < 0 ? errno : 0;
    });
    const bool installed = filterSystemCalls().ok();
    [[maybe_unused]] const ssize_t n = write(ready[1], "x", 1);
    other.join();
    const bool noNewPrivileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    _exit(installed && errnum == ENOSYS && noNewPrivileges ? 0 : 2);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

}  // namespace
}  // namespace sockmesh
