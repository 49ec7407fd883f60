// SPDX-License-Identifier: Apache-2.0
#include "served/netns_watch.h"

#include <fcntl.h>
#include <glob.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <utility>

namespace sockmesh {
namespace {

std::vector<std::string> pathsOf(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return paths;
}

}  // namespace

std::map<std::uint64_t, std::vector<std::size_t>> findNetns(
    const std::vector<std::string>& patterns) {
  std::map<std::uint64_t, std::vector<std::size_t>> found;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    for (const std::string& path : pathsOf(patterns[i])) {
      struct statfs fs {};
      struct stat status {};
      if (statfs(path.c_str(), &fs) != 0 || fs.f_type != NSFS_MAGIC) continue;
      if (stat(path.c_str(), &status) != 0) continue;
      auto& by = found[status.st_ino];
      if (by.empty() || by.back() != i) by.push_back(i);
    }
  }
  return found;
}

Result<std::unique_ptr<NetnsWatch>> NetnsWatch::start(EventLoop& loop,
                                                      std::function<void()> onMounts) {
  UniqueFd mounts(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!mounts.valid()) return Error::fromErrno("/proc/self/mountinfo", errno);
  const int fd = mounts.get();
  std::unique_ptr<NetnsWatch> watch(new NetnsWatch(loop, std::move(mounts)));
  if (auto ok = loop.watchUrgent(fd, std::move(onMounts)); !ok) return ok.error();
  return watch;
}

NetnsWatch::~NetnsWatch() {
  loop_.unwatch(mounts_.get());
}

}  // namespace sockmesh
