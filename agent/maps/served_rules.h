// SPDX-License-Identifier: Apache-2.0
// Who is served, as the programs are told. The rules stay in the kernel while no agent runs.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "maps/kernel_maps.h"

namespace sockmesh {

inline constexpr std::size_t kMaxSidecars = SM_MAX_SIDECARS;    // kinds of them
inline constexpr std::size_t kSidecarPorts = SM_SIDECAR_PORTS;  // of a kind

// What a rule is about.
struct ServedId {
  enum class Kind { kCgroup, kNetns };
  Kind kind = Kind::kCgroup;
  std::uint64_t id = 0;  // of a cgroup; the inode of a network namespace
  auto operator<=>(const ServedId&) const = default;
};

// What the programs have to ask. The less there is, the less a connect() costs.
struct ServedQuestions {
  bool cgroups = false;     // there may be rules for cgroups
  bool namespaces = false;  // there may be rules for network namespaces
  bool sidecars = false;    // who has a sidecar is left alone
  bool byDefault = true;    // who is named by nothing is served
};

class ServedRules {
 public:
  // `maps` outlive this.
  explicit ServedRules(KernelMaps& maps) : maps_(maps) {}

  // The rules that the kernel has, sidecars not among them: whether they let in.
  Result<std::map<ServedId, bool>> known() const;
  // Adds or replaces a rule. The network namespace that has this inode now is meant, also if an
  // earlier one had it.
  Status put(const ServedId& id, bool letIn);
  Status erase(const ServedId& id);
  // How sidecars are recognised: by ports that all have a listener. Replaces what was there. No
  // sidecar is looked for in the network namespace of this process, which is the host's.
  Status setSidecars(std::span<const std::vector<std::uint16_t>> sidecars);
  // Takes effect at once.
  void ask(const ServedQuestions& questions);
  // Rules that were put and erased take effect. Without this call a verdict is kept for a while.
  void changed();

 private:
  KernelMaps& maps_;
};

}  // namespace sockmesh
