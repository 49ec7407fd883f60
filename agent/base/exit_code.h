// SPDX-License-Identifier: Apache-2.0
// Exit codes of sockmeshd and sockmeshctl. The numbers are those of BSD's sysexits, as in istioctl.
#pragma once

#include <sysexits.h>

namespace sockmesh {

enum ExitCode : int {
  kExitOk = EX_OK,
  kExitFailure = 1,
  kExitUsage = EX_USAGE,
  kExitBadData = EX_DATAERR,
  kExitUnavailable = EX_UNAVAILABLE,
  kExitDrift = 79,  // `verify` found a difference; istioctl analyze uses it for what it finds
};

}  // namespace sockmesh
