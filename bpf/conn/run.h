/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the runs of failures are: each client has SM_CLIENT_RUNS of its own, in sets of SM_RUN_WAYS
 * by the endpoint's id. A run is claimed by compare-and-swap, without allocation and without a
 * lock. A client that fails at more endpoints at once forgets its own oldest runs, and nobody
 * else's.
 */
#ifndef SOCKMESH_RUN_H
#define SOCKMESH_RUN_H

#include "conn/client.h"

#include "conn/outlier_rules.h"

#define SM_RUN_WAYS    8
#define SM_RUN_SETS    (SM_CLIENT_RUNS / SM_RUN_WAYS)
#define SM_RUN_NOWHERE (~0U)
#define SM_RUN_BUSY    1ULL /* a tag */

static __always_inline struct sm_run *sm_run_at(__u32 place)
{
	return bpf_map_lookup_elem(&client_runs, &place);
}

static __always_inline __u64 sm_client_bit(const struct sm_client_line *line)
{
	return 1ULL << (line->number & 63);
}

/* The first place of the set of this endpoint's run. */
static __always_inline __u32 sm_run_set(__u32 client, __u32 endpoint_id)
{
	__u32 set = (endpoint_id * 0x9e3779b1U) >> 16;

	return client * SM_CLIENT_RUNS + (set % SM_RUN_SETS) * SM_RUN_WAYS;
}

/* The tag of this client's run of this endpoint; 0: there is none. */
static __always_inline __u64 sm_run_tag_of(__u32 client, __u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(client);

	return state && line ? sm_run_tag(endpoint_id, READ_ONCE(state->born), READ_ONCE(line->id))
			     : 0;
}

/* The place of the client's run of this endpoint; SM_RUN_NOWHERE: it has none. */
static __always_inline __u32 sm_run_search(__u32 client, __u32 endpoint_id)
{
	__u32 first = sm_run_set(client, endpoint_id);
	__u64 tag = sm_run_tag_of(client, endpoint_id);
	struct sm_run *run;

	for (__u32 way = 0; tag && way < SM_RUN_WAYS; way++) {
		run = sm_run_at(first + way);
		if (run && READ_ONCE(run->tag) == tag)
			return first + way;
	}
	return SM_RUN_NOWHERE;
}

/* The same, called. */
SM_VERIFIED_ONCE __u32 sm_run_find(__u32 client, __u32 endpoint_id)
{
	return sm_run_search(client, endpoint_id);
}

/* When a run was last of use: the later, the less it may be forgotten. */
static __always_inline __u64 sm_run_age(const struct sm_run *run)
{
	__u64 until = READ_ONCE(run->ejected_until_ns), failed = READ_ONCE(run->failed_at_ns);

	if (!READ_ONCE(run->tag))
		return 0;
	if (until > failed)
		return until;
	return READ_ONCE(run->failures) ? failed : 1;
}

/* The run at `place` is forgotten: its endpoint has one less. */
static __always_inline void sm_run_forget(struct sm_run *run, __u32 client, __u64 tag)
{
	__u32 endpoint_id = (__u32)(tag >> 32);
	struct sm_endpoint_state *state;

	if (!endpoint_id || sm_run_tag_of(client, endpoint_id) != tag)
		return;
	state = endpoint_state_at(endpoint_id);
	if (state)
		sm_run_clear(state, run);
}

static __always_inline int sm_run_take(struct sm_run *run, __u32 client, __u64 tag)
{
	__u64 held = READ_ONCE(run->tag);

	if (held == SM_RUN_BUSY ||
	    __sync_val_compare_and_swap(&run->tag, held, SM_RUN_BUSY) != held)
		return 0;
	sm_run_forget(run, client, held);
	run->failures = 0;
	run->returns = 0;
	run->ejected_until_ns = 0;
	run->ejected_at_ns = 0;
	run->over_ns = 0;
	run->failed_at_ns = 0;
	run->multiplier = 0;
	run->ejections = 0;
	run->detector = 0;
	__sync_lock_test_and_set(&run->tag, tag);
	return 1;
}

/* The same as sm_run_find(), and a run of its own for a client that has none. */
SM_VERIFIED_ONCE __u32 sm_run_claim(__u32 client, __u32 endpoint_id)
{
	__u32 first = sm_run_set(client, endpoint_id), best = SM_RUN_NOWHERE;
	__u32 found = sm_run_find(client, endpoint_id);
	__u64 tag = sm_run_tag_of(client, endpoint_id), oldest = ~0ULL, age;
	struct sm_run *run;

	if (found != SM_RUN_NOWHERE || !tag)
		return found;
	for (__u32 way = 0; way < SM_RUN_WAYS; way++) {
		run = sm_run_at(first + way);
		if (!run)
			return SM_RUN_NOWHERE;
		age = sm_run_age(run);
		if (age < oldest) {
			oldest = age;
			best = first + way;
		}
	}
	run = sm_run_at(best);
	return run && sm_run_take(run, client, tag) ? best : SM_RUN_NOWHERE;
}

/* The client was served by the endpoint, where some client has a run of failures. */
SM_VERIFIED_ONCE int sm_run_served(__u32 client, __u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_run *run = sm_run_at(sm_run_find(client, endpoint_id));
	struct sm_client_line *line = sm_client_line(client);

	if (state && run && line)
		sm_outlier_success(state, run, sm_client_bit(line), bpf_ktime_get_ns());
	return 0;
}

struct sm_own_scan {
	__u64 now_ns;
	__u32 first;
	__u32 cluster_id;
	__u32 found;
	__u32 pad;
};

static long sm_own_scan_one(__u64 i, struct sm_own_scan *scan)
{
	struct sm_run *run = sm_run_at(scan->first + (__u32)i);
	struct sm_endpoint_state *state;
	struct sm_endpoint *endpoint;
	__u32 id;

	if (!run || READ_ONCE(run->ejected_until_ns) <= scan->now_ns)
		return 0;
	id = (__u32)(READ_ONCE(run->tag) >> 32);
	endpoint = endpoints_at(id);
	state = endpoint_state_at(id);
	if (endpoint && state && endpoint->cluster_id == scan->cluster_id &&
	    !READ_ONCE(state->ejected_until_ns))
		scan->found++;
	return 0;
}

/* How many endpoints of the cluster the client has ejected, without those that the node has. */
SM_VERIFIED_ONCE __u32 sm_own_ejections(__u32 client, __u32 cluster_id, __u64 now_ns)
{
	struct sm_own_scan scan = {
		.now_ns = now_ns, .first = client * SM_CLIENT_RUNS, .cluster_id = cluster_id};

	bpf_loop(SM_CLIENT_RUNS, sm_own_scan_one, &scan, 0);
	return scan.found;
}

#endif /* SOCKMESH_RUN_H */
