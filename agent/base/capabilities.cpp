// SPDX-License-Identifier: Apache-2.0
#include "base/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>

namespace sockmesh {
namespace {

constexpr std::array kNames = {
    std::pair{CAP_BPF, "CAP_BPF"},
    std::pair{CAP_PERFMON, "CAP_PERFMON"},
    std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    std::pair{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
    std::pair{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
    std::pair{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
    std::pair{CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
};
constexpr int kLast = 63;  // of the kernel's format

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool getSets(Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return syscall(SYS_capget, &header, sets.data()) == 0;
}

// The whole bounding set: what an exec() of root could bring back.
void dropBounding(std::uint64_t keep) {
  for (int capability = 0; capability <= kLast; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0) return;  // past the kernel's last
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

}  // namespace

Capabilities::Capabilities(std::initializer_list<int> capabilities) {
  for (const int capability : capabilities) bits_ |= 1ULL << capability;
}

Capabilities Capabilities::effective() {
  Sets sets{};
  if (!getSets(sets)) return {};
  return Capabilities(sets[0].effective | std::uint64_t{sets[1].effective} << 32);
}

Result<Capabilities> Capabilities::permittedIn(const std::string& statusFile) {
  std::ifstream file(statusFile);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("CapPrm:")) return Capabilities(std::stoull(line.substr(7), nullptr, 16));
  }
  return Error(statusFile + ": no CapPrm");
}

Capabilities Capabilities::without(const Capabilities& others) const {
  return Capabilities(bits_ & ~others.bits_);
}

Capabilities Capabilities::both(const Capabilities& others) const {
  return Capabilities(bits_ & others.bits_);
}

std::string Capabilities::names() const {
  std::string text;
  std::uint64_t rest = bits_;
  const auto add = [&](int capability, const std::string& name) {
    if ((rest >> capability & 1) == 0) return;
    rest &= ~(1ULL << capability);
    text += (text.empty() ? "" : ", ") + name;
  };
  for (const auto& [capability, name] : kNames) add(capability, name);
  for (int capability = 0; capability <= kLast; ++capability) {
    add(capability, "CAP_" + std::to_string(capability));
  }
  return text;
}

Status limitThread(const Capabilities& keep) {
  Sets sets{};
  if (!getSets(sets)) return Error::fromErrno("capget", errno);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  dropBounding(keep.bits_);
  const std::array halves = {static_cast<std::uint32_t>(keep.bits_),
                             static_cast<std::uint32_t>(keep.bits_ >> 32)};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= halves[i];
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capset, &header, sets.data()) != 0) return Error::fromErrno("capset", errno);
  return {};
}

}  // namespace sockmesh
