// SPDX-License-Identifier: Apache-2.0
// Which pods are served, as the configuration says it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kube/pod_rules.h"
#include "served/path_glob.h"

namespace sockmesh {

// One entry of `leave_out` or `let_in`.
struct ServedRule {
  std::string field;  // "served.leave_out[0]"
  bool letIn = false;
};
struct CgroupRule : ServedRule {
  PathGlob glob;
};
struct NetnsRule : ServedRule {
  std::string pattern;  // of paths, for glob(3)
};

struct ServedOptions {
  bool byDefault = true;
  std::vector<CgroupRule> cgroups;
  std::vector<NetnsRule> namespaces;
  std::vector<PodRule> pods;
  // Ports of a sidecar, all of which have a listener. Empty: sidecars are not looked for.
  std::vector<std::vector<std::uint16_t>> sidecars;
};

}  // namespace sockmesh
