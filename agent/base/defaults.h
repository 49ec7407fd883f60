// SPDX-License-Identifier: Apache-2.0
// Defaults that the agent and its tools share. Sizes of maps are in the ABI, SM_DEFAULT_*.
#pragma once

namespace sockmesh {

inline constexpr const char* kDefaultBpffsRoot = "/sys/fs/bpf";
inline constexpr const char* kDefaultAdminAddress = "127.0.0.1:15077";

}  // namespace sockmesh
