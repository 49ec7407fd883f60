// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Run by the agent itself (BPF_PROG_TEST_RUN): what it needs to know of its own task in the
 * kernel's terms, whatever PID namespace it lives in. */
#include "maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The calling process becomes the agent: its sockets are not rewritten from now on. */
SEC("syscall")
int sm_register_agent(void *ctx)
{
	struct sm_globals *globals = sm_globals();
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();

	if (!globals)
		return 1;
	globals->agent_start_ns = task->group_leader->start_boottime;
	globals->agent_tgid = task->tgid;
	return 0;
}
