// SPDX-License-Identifier: Apache-2.0
#include "datapath/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

namespace sockmesh {
namespace {

struct Needed {
  int capability;
  const char* name;
  const char* purpose;
  bool adminSuffices;  // CAP_SYS_ADMIN stands for it
};

constexpr std::array<Needed, 3> kNeeded = {{
    {CAP_BPF, "CAP_BPF", "to make maps and to load programs", true},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "to attach programs to the connections of a cgroup", false},
    {CAP_PERFMON, "CAP_PERFMON", "to read how connections end, from the kernel's own structs",
     true},
}};

bool holds(std::uint64_t effective, int capability) {
  return (effective >> static_cast<unsigned>(capability) & 1U) != 0;
}

}  // namespace

Status checkCapabilities(std::uint64_t effective) {
  std::string missing;
  for (const Needed& one : kNeeded) {
    if (holds(effective, one.capability)) continue;
    if (one.adminSuffices && holds(effective, CAP_SYS_ADMIN)) continue;
    missing += (missing.empty() ? "" : ", ") + std::string(one.name) + " " + one.purpose;
  }
  if (missing.empty()) return {};
  return Error("capabilities are missing: " + missing +
               " (run as root, or in a pod with securityContext.capabilities.add)");
}

Status checkPrivileges() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return Error::fromErrno("capget", errno);
  return checkCapabilities(static_cast<std::uint64_t>(data[1].effective) << 32U |
                           data[0].effective);
}

}  // namespace sockmesh
