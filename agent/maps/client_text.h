// SPDX-License-Identifier: Apache-2.0
// Clients, as outlier detection tells them apart, in words.
#pragma once

#include <cstdint>
#include <string>

namespace sockmesh {

// "pod:4711" (the id of the pod's cgroup), "netns:12" (a cookie) or "uid:1000" (the namespaces that
// this user made). 0 is "others": those who found no place of their own.
std::string clientText(std::uint64_t client);

}  // namespace sockmesh
