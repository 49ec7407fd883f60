/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What connect() asks of outlier detection: whether an endpoint is ejected, for all or for the
 * caller alone. */
#ifndef SOCKMESH_OWN_H
#define SOCKMESH_OWN_H

#include "conn/run.h"

/* Whether a look at the ejections is needed. Usually neither word is set. */
static __always_inline int sm_may_be_ejected(const struct sm_endpoint_state *state)
{
	return !!(READ_ONCE(state->ejected_until_ns) | READ_ONCE(state->own_until_ns));
}

/* Whether the endpoint's cluster has outlier detection, still. */
static __always_inline int sm_detects(__u32 endpoint_id)
{
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_cluster_state *cluster = endpoint ? cluster_state_at(endpoint->cluster_id) : NULL;

	return cluster && READ_ONCE(cluster->base_ejection_ns);
}

/* Whether this client has ejected the endpoint for itself. */
SM_VERIFIED_ONCE int sm_own_ejected(__u32 endpoint_id, __u32 client)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	__u64 now_ns = bpf_ktime_get_ns(), until;
	struct sm_run *run;

	if (!state)
		return 0;
	until = READ_ONCE(state->own_until_ns);
	if (until <= now_ns) {
		/* Nobody's lasts any more. */
		__sync_val_compare_and_swap(&state->own_until_ns, until, 0);
		return 0;
	}
	/* Not called: Linux 6.1 has stack for no call more behind a scan of sm_reselect(). */
	run = sm_run_at(sm_run_search(client, endpoint_id));
	return run && READ_ONCE(run->ejected_until_ns) > now_ns && sm_detects(endpoint_id);
}

/* Whether the endpoint is ejected, for all or for this client alone. */
static __always_inline int sm_is_ejected(__u32 endpoint_id, __u32 client, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_id ? endpoint_state_at(endpoint_id) : NULL;

	if (!state || READ_ONCE(state->ejected_until_ns) > now_ns)
		return 1;
	return unlikely(READ_ONCE(state->own_until_ns)) && sm_own_ejected(endpoint_id, client);
}

#endif /* SOCKMESH_OWN_H */
