/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that the agent runs (BPF_PROG_TEST_RUN). They tell the kernel which process the agent
 * is, in any PID namespace, and they eject and uneject by the same rules as sock_ops. */
#ifndef SOCKMESH_HOOK_AGENT_H
#define SOCKMESH_HOOK_AGENT_H

#include "conn/outlier.h"

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

/* One of the agent's own detectors (success rate, failure percentage) fired, for one client's
 * outcomes, or for all where no client is named. */
SEC("syscall")
int sm_agent_detect(struct sm_agent_request *request)
{
	const struct sm_consecutive_rule rule = {
		.detector = (__u16)request->detector,
		.enforcing_percent = (__u16)request->enforcing_percent,
	};

	if (request->client)
		request->answer = sm_detect_rate(request->endpoint_id, request->client, &rule,
						 bpf_ktime_get_ns());
	else
		request->answer = sm_detect(request->endpoint_id, request->detector,
					    request->enforcing_percent, bpf_ktime_get_ns());
	return 0;
}

/* The agent unejects an endpoint. */
SEC("syscall")
int sm_agent_uneject(struct sm_agent_request *request)
{
	struct sm_endpoint_state *state = endpoint_state_at(request->endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(request->endpoint_id);
	struct sm_cluster_state *cluster;

	request->answer = 0;
	if (!state || !endpoint)
		return 0;
	cluster = cluster_state_at(endpoint->cluster_id);
	if (cluster)
		request->answer = sm_outlier_uneject(state, cluster, bpf_ktime_get_ns());
	return 0;
}

#endif /* SOCKMESH_HOOK_AGENT_H */
