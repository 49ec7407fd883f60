// SPDX-License-Identifier: Apache-2.0
// The defaults of settings and flags. Sizes of maps are in the ABI, SM_DEFAULT_*.
// docs/operations.md lists all defaults, and a test compares that list with the defaults that the
// agent uses.
#pragma once

#include <cstdint>

namespace sockmesh {

inline constexpr const char* kDefaultBpffsRoot = "/sys/fs/bpf";
inline constexpr const char* kDefaultAdminAddress = "127.0.0.1:15077";
inline constexpr const char* kDefaultAdminSocket = "/run/sockmesh/admin.sock";
// The word for "no Unix socket" in place of a path.
inline constexpr const char* kNoAdminSocket = "none";
inline constexpr const char* kDefaultLogLevel = "info";
// Session affinity: the default of Kubernetes' clientIP.timeoutSeconds.
inline constexpr std::uint32_t kDefaultAffinitySeconds = 10800;
// A sample reads the clock twice. 100 connects a second are 47 samples a minute.
inline constexpr std::uint32_t kDefaultTimeOneSelectionIn = 128;

}  // namespace sockmesh
