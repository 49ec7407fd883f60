// SPDX-License-Identifier: Apache-2.0
#include "daemon/system_call_filter.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

namespace sockmesh {
namespace {

// By name, because a machine's architecture lacks some of the calls.
constexpr std::array kAllowed = std::to_array<std::string_view>({
    // descriptors and files: configuration, certificates, logs, pins, cgroups
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "lseek",
    "open",
    "openat",
    "openat2",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "flock",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "chmod",
    "fchmod",
    "fchmodat",
    "fadvise64",
    "sendfile",
    "copy_file_range",
    "pipe",
    "pipe2",
    "ioctl",
    "umask",
    "utimensat",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    // memory
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "msync",
    "mincore",
    "brk",
    "mlock",
    "munlock",
    "membarrier",
    // threads, signals, ends
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "rseq",
    "arch_prctl",
    "gettid",
    "getpid",
    "getppid",
    "getpgrp",
    "getsid",
    "tgkill",
    "tkill",
    "exit",
    "exit_group",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "restart_syscall",
    "wait4",
    "waitid",
    "prctl",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getcpu",
    "getpriority",
    // waiting and time
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "timer_create",
    "timer_settime",
    "timer_delete",
    // the network; which families, see below
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "shutdown",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "getsockopt",
    "setsockopt",
    // maps and programs
    "bpf",
    // what a process may know of itself
    "uname",
    "sysinfo",
    "getrandom",
    "getrusage",
    "prlimit64",
    "getrlimit",
    "setrlimit",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getgroups",
    "getresuid",
    "getresgid",
    "capget",
    "capset",
});

// Not netlink, packet or raw sockets: with CAP_NET_ADMIN they would reconfigure the node's network.
constexpr std::array kFamilies = {AF_UNIX, AF_INET, AF_INET6};

constexpr unsigned kNewNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID |
                                    CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;

using Filter = std::unique_ptr<void, decltype([](void* filter) { seccomp_release(filter); })>;

int allow(const Filter& filter) {
  for (const std::string_view name : kAllowed) {
    const int number = seccomp_syscall_resolve_name(name.data());
    if (number < 0) continue;  // not of this architecture, or newer than the library
    if (const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0)) return failed;
  }
  for (const int family : kFamilies) {
    for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
      const int failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                                          SCMP_A0(SCMP_CMP_EQ, static_cast<unsigned>(family)));
      if (failed != 0) return failed;
    }
  }
  // Threads. clone3() hides its flags in memory and gets ENOSYS, so the C library uses clone().
  return seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, kNewNamespaces, 0));
}

}  // namespace

Status filterSystemCalls() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return Error("seccomp: no filter for this architecture");
  int failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (failed == 0) failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (failed == 0) failed = allow(filter);
  if (failed == 0) failed = seccomp_load(filter.get());  // sets no-new-privileges first
  return failed == 0 ? Status() : Status(Error::fromErrno("seccomp", -failed));
}

}  // namespace sockmesh
