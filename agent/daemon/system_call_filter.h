// SPDX-License-Identifier: Apache-2.0
// The system calls that a running agent may make. SECURITY.md explains the list.
#pragma once

#include "base/result.h"

namespace sockmesh {

// Installs a seccomp filter on all threads of this process, for ever, together with
// no-new-privileges. A call that is not on the list fails with ENOSYS, which makes the C library
// use an older call where there is one. Nothing is killed.
Status filterSystemCalls();

}  // namespace sockmesh
