// SPDX-License-Identifier: Apache-2.0
// The cgroups of Kubernetes' pods, by the pods' uids. The kubelet makes a folder for each pod,
// whose name tells the uid: "pod1b9e-..." or, where systemd makes it,
// "kubepods-burstable-pod1b9e_....slice".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "served/path_glob.h"

namespace sockmesh {

// Where pods' folders are, whatever the kubelet's cgroup driver: below "kubepods", for each class
// of quality of service, and up to three folders deeper, as with --cgroup-root or a node in a
// container.
std::vector<PathGlob> podFolders();

// The uid of the pod whose folder this is; nothing for another folder. `path` is of a cgroup.
std::optional<std::string> podUidOf(std::string_view path);

}  // namespace sockmesh
