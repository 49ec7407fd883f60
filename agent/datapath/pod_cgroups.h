// SPDX-License-Identifier: Apache-2.0
// The cgroups in which the kubelet makes the cgroups of pods: a pod is a client of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sockmesh {

// Their ids below this root of cgroup v2; none where there is no kubelet. Both drivers of the
// kubelet (systemd, cgroupfs) are known, also below a kubelet's own cgroup. A few system calls.
std::vector<std::uint64_t> podParents(const std::string& root);

}  // namespace sockmesh
