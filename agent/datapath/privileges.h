// SPDX-License-Identifier: Apache-2.0
// What the process may do: the capabilities that the datapath needs.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sockmesh {

// An Error names each capability that `effective` lacks, and what the agent needs it for.
// `effective` has a bit for each capability, as CapEff in /proc/PID/status. CAP_SYS_ADMIN stands
// for CAP_BPF and CAP_PERFMON, as in the kernel.
Status checkCapabilities(std::uint64_t effective);

// The same for the calling thread.
Status checkPrivileges();

}  // namespace sockmesh
