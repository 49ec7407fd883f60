// SPDX-License-Identifier: Apache-2.0
// The names of the endpoints of DNS clusters. Such a name is "CLUSTER by DNS HASH", so that it is
// never mistaken for an assignment of the control plane. Two versions of a cluster whose names are
// resolved in other ways have other names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sockmesh {

std::string resolvedName(const std::string& cluster, std::uint64_t hash);
bool isResolvedName(std::string_view name);

}  // namespace sockmesh
