// SPDX-License-Identifier: Apache-2.0
#include "support/sandbox.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "datapath/bpffs.h"
#include "datapath/cgroup_root.h"
#include "support/eventually.h"

namespace sockmesh::test {
namespace {

constexpr const char* kPrefix = "sockmesh-test-";

Status loopbackUp() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return Error::fromErrno("lo up", errno);
  return {};
}

Status writePid(const std::string& cgroup, int pid) {
  std::ofstream file(cgroup + "/cgroup.procs");
  file << pid << std::flush;
  return file ? Status() : Status(Error(cgroup + "/cgroup.procs: cannot move the process"));
}

// Where /proc/self/cgroup says this process is in v2.
std::string ownCgroup(const std::string& root) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return root + line.substr(3);
  }
  return root;
}

void removeStale(const std::string& root) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(root, failed)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const int pid = std::atoi(name.c_str() + std::strlen(kPrefix));
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) rmdir(entry.path().c_str());
  }
}

}  // namespace

Status enterNamespaces() {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) return Error::fromErrno("unshare", errno);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Error::fromErrno("private mounts", errno);
  }
  return loopbackUp();
}

Result<std::unique_ptr<Sandbox>> Sandbox::create() {
  static std::atomic<int> counter{0};
  auto root = openCgroupRoot("");
  if (!root) return root.error();
  removeStale(root->path);
  std::unique_ptr<Sandbox> sandbox(new Sandbox());
  sandbox->home_ = ownCgroup(root->path);
  const std::string name = kPrefix + std::to_string(getpid()) + "-" + std::to_string(counter++);
  sandbox->cgroup_ = root->path + "/" + name;
  if (mkdir(sandbox->cgroup_.c_str(), 0755) != 0) {
    return Error::fromErrno(sandbox->cgroup_, errno);
  }
  sandbox->folder_ = "/tmp/" + name;
  sandbox->bpffs_ = sandbox->folder_ + "/bpf";
  if (auto mounted = ensureBpffs(sandbox->bpffs_); !mounted) return mounted.error();
  if (auto moved = sandbox->enter(); !moved) return moved.error();
  return sandbox;
}

Status Sandbox::enter(int pid) const {
  return writePid(cgroup_, pid == 0 ? getpid() : pid);
}
Status Sandbox::leave(int pid) const {
  return writePid(home_, pid == 0 ? getpid() : pid);
}

Sandbox::~Sandbox() {
  // A process that is still inside would keep the cgroup, as children that the test has ended.
  [[maybe_unused]] const Status left = leave();
  umount2(bpffs_.c_str(), MNT_DETACH);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  // A process that was killed keeps the cgroup until it is reaped.
  eventually([&] { return rmdir(cgroup_.c_str()) == 0 || errno != EBUSY; },
             std::chrono::seconds(2));
}

}  // namespace sockmesh::test
