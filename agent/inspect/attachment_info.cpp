// SPDX-License-Identifier: Apache-2.0
#include "inspect/attachment_info.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "maps/pin_path.h"
#include "maps/program_names.h"

namespace sockmesh {
namespace {

// More programs than a hook can have (the kernel's limit is 64 for each cgroup).
constexpr std::uint32_t kMaxPrograms = 256;

std::string hookName(std::uint32_t attachType) {
  switch (attachType) {
    case BPF_CGROUP_INET4_CONNECT:
      return "connect4";
    case BPF_CGROUP_INET6_CONNECT:
      return "connect6";
    case BPF_CGROUP_INET4_GETPEERNAME:
      return "getpeername4";
    case BPF_CGROUP_INET6_GETPEERNAME:
      return "getpeername6";
    case BPF_CGROUP_INET_SOCK_RELEASE:
      return "sock_release";
    case BPF_CGROUP_SOCK_OPS:
      return "sock_ops";
    case BPF_CGROUP_UDP4_SENDMSG:
      return "sendmsg4";
    case BPF_CGROUP_UDP6_SENDMSG:
      return "sendmsg6";
    case BPF_CGROUP_UDP4_RECVMSG:
      return "recvmsg4";
    case BPF_CGROUP_UDP6_RECVMSG:
      return "recvmsg6";
    default:
      return "attach type " + std::to_string(attachType);
  }
}

ProgramInfo programInfo(std::uint32_t id) {
  ProgramInfo out;
  out.id = id;
  const UniqueFd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  std::uint32_t length = sizeof(info);
  if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return out;
  out.name = info.name;
  for (const std::uint8_t byte : info.tag) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte);
    out.tag += digits.data();
  }
  return out;
}

// Mount points of cgroup v2 that this process sees.
std::vector<std::string> cgroup2Mounts() {
  std::vector<std::string> points;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string source, point, type;
    if (fields >> source >> point >> type && type == "cgroup2") points.push_back(point);
  }
  return points;
}

UniqueFd openFolder(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Opens the cgroup with this id. The file handle of a kernfs is the id. Not valid: there is no such
// cgroup below the mount, or the process lacks CAP_DAC_READ_SEARCH.
UniqueFd openByHandle(const std::string& mount, std::uint64_t id) {
  constexpr int kFileidKernfs = 0xfe;
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof(id)> storage{};
  auto* handle = reinterpret_cast<file_handle*>(storage.data());
  handle->handle_bytes = sizeof(id);
  handle->handle_type = kFileidKernfs;
  std::memcpy(handle->f_handle, &id, sizeof(id));
  const UniqueFd folder = openFolder(mount);
  if (!folder.valid()) return {};
  return UniqueFd(open_by_handle_at(folder.get(), handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool hasInode(const std::string& path, std::uint64_t inode) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0 && found.st_ino == inode;
}

// The same without a capability, as in the chart's pod: walks the folders of the mount. The id of a
// cgroup is its inode.
UniqueFd openByWalk(const std::string& mount, std::uint64_t id) {
  namespace fs = std::filesystem;
  if (hasInode(mount, id)) return openFolder(mount);
  std::error_code failed;
  fs::recursive_directory_iterator at(mount, fs::directory_options::skip_permission_denied, failed);
  for (; !failed && at != fs::recursive_directory_iterator(); at.increment(failed)) {
    std::error_code gone;
    if (at->symlink_status(gone).type() != fs::file_type::directory) continue;
    if (hasInode(at->path().string(), id)) return openFolder(at->path().string());
  }
  return {};
}

UniqueFd openCgroup(std::uint64_t id) {
  const auto mounts = cgroup2Mounts();
  for (const auto& open : {openByHandle, openByWalk}) {
    for (const std::string& mount : mounts) {
      UniqueFd cgroup = open(mount, id);
      if (cgroup.valid()) return cgroup;
    }
  }
  return {};
}

std::string pathOf(int fd) {
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : "";
}

// The cgroup of this process, if a mount shows it.
UniqueFd openOwnCgroup() {
  std::ifstream file("/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) path = line.substr(3);
  }
  if (path.empty()) return {};
  for (const std::string& point : cgroup2Mounts()) {
    // A path is relative to a cgroup namespace, and a mount may show more or less than that.
    std::ifstream members(point + path + "/cgroup.procs");
    for (pid_t pid = 0; members >> pid;) {
      if (pid != getpid()) continue;
      return UniqueFd(open((point + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
  }
  return {};
}

std::vector<ProgramInfo> runningOrder(int cgroupFd, std::uint32_t attachType,
                                      std::uint32_t ourProgram) {
  std::array<std::uint32_t, kMaxPrograms> ids{};
  LIBBPF_OPTS(bpf_prog_query_opts, query, .query_flags = BPF_F_QUERY_EFFECTIVE,
              .prog_ids = ids.data(), .prog_cnt = kMaxPrograms);
  std::vector<ProgramInfo> order;
  if (bpf_prog_query_opts(cgroupFd, static_cast<bpf_attach_type>(attachType), &query) != 0) {
    return order;
  }
  for (std::uint32_t i = 0; i < query.prog_cnt && i < kMaxPrograms; ++i) {
    order.push_back(programInfo(ids[i]));
    order.back().ours = ids[i] == ourProgram;
  }
  return order;
}

Attachment readAttachment(const std::string& folder, const std::string& name) {
  Attachment out;
  out.link = name;
  const std::string path = folder + "/" + name;
  const UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) {
    out.problem = errno == ENOENT ? "not pinned" : Error::fromErrno(path, errno).message();
    return out;
  }
  bpf_link_info info{};
  std::uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) {
    out.problem = Error::fromErrno(path, errno).message();
    return out;
  }
  out.linkId = info.id;
  out.program = programInfo(info.prog_id);
  out.program.ours = true;
  if (info.type == BPF_LINK_TYPE_RAW_TRACEPOINT || info.type == BPF_LINK_TYPE_TRACING) {
    out.hook = "inet_sk_error_report";
    out.wholeNode = true;
    out.order = {out.program};
    return out;
  }
  if (info.type != BPF_LINK_TYPE_CGROUP) {
    out.problem = "the pin is not a cgroup link";
    return out;
  }
  out.attachType = info.cgroup.attach_type;
  out.hook = hookName(info.cgroup.attach_type);
  out.cgroupId = info.cgroup.cgroup_id;
  if (out.cgroupId == 0) {
    out.problem = "detached: its cgroup is gone";
    return out;
  }
  const UniqueFd cgroup = openCgroup(out.cgroupId);
  if (!cgroup.valid()) return out;
  out.cgroupPath = pathOf(cgroup.get());
  out.order = runningOrder(cgroup.get(), info.cgroup.attach_type, info.prog_id);
  return out;
}

}  // namespace

Result<std::vector<Attachment>> readAttachments(const std::string& bpffsRoot) {
  const std::string folder = PinPath(bpffsRoot).links();
  if (access(folder.c_str(), R_OK | X_OK) != 0) return Error::fromErrno(folder, errno);
  std::vector<Attachment> all;
  for (const std::string& name : programNames()) all.push_back(readAttachment(folder, name));
  return all;
}

std::string cgroupPath(std::uint64_t id) {
  const UniqueFd cgroup = openCgroup(id);
  return cgroup.valid() ? pathOf(cgroup.get()) : "";
}

std::string programText(const ProgramInfo& program) {
  return (program.name.empty() ? "program" : program.name) + "#" + std::to_string(program.id);
}

std::vector<ProgramInfo> behindOurs(const Attachment& attachment) {
  const auto& order = attachment.order;
  const auto ours = std::find_if(order.begin(), order.end(),
                                 [](const ProgramInfo& program) { return program.ours; });
  return ours == order.end() ? std::vector<ProgramInfo>() : std::vector(ours + 1, order.end());
}

std::optional<HookHere> runningHere(const Attachment& attachment) {
  const UniqueFd cgroup = openOwnCgroup();
  if (!cgroup.valid()) return std::nullopt;
  LIBBPF_OPTS(bpf_prog_query_opts, query, .query_flags = BPF_F_QUERY_EFFECTIVE);
  const auto type = static_cast<bpf_attach_type>(attachment.attachType);
  if (bpf_prog_query_opts(cgroup.get(), type, &query) != 0) return std::nullopt;
  const auto order = runningOrder(cgroup.get(), attachment.attachType, attachment.program.id);
  const auto ours = std::ranges::find_if(order, &ProgramInfo::ours);
  HookHere here;
  here.runsHere = ours != order.end();
  if (here.runsHere) here.beforeOurs.assign(order.begin(), ours);
  return here;
}

std::string programsBehindOurs(const std::string& bpffsRoot, const std::string& link) {
  std::string text;
  for (const ProgramInfo& program : behindOurs(readAttachment(PinPath(bpffsRoot).links(), link))) {
    text += (text.empty() ? "" : ", ") + programText(program);
  }
  return text;
}

}  // namespace sockmesh
