// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* All programs, as one object. */
#include "hooks/agent.h"
#include "hooks/connect.h"
#include "hooks/getpeername.h"
#include "hooks/recvmsg.h"
#include "hooks/sendmsg.h"
#include "hooks/sock_error.h"
#include "hooks/sock_ops.h"
#include "hooks/sock_release.h"
#include "hooks/sweep.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
