/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outlier detection where outcomes happen: gives the rules their states, the time and random
 * numbers, and tells the agent through the ring. */
#ifndef SOCKMESH_OUTLIER_H
#define SOCKMESH_OUTLIER_H

/* Included first, because it defines READ_ONCE. */
#include "conn/stats.h"

#include "conn/run.h"

/* Tells the agent. `client` is a place in `clients`; `kind_and_detector`: the detector in the high
 * half. Apart, because an event needs stack. */
SM_VERIFIED_ONCE int sm_emit_event(__u32 kind_and_detector, __u32 endpoint_id, __u32 detection,
				   __u32 client, __u64 now_ns)
{
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(client);
	struct sm_event event = {
		.kind = kind_and_detector & 0xffff,
		.endpoint_id = endpoint_id,
		.cluster_id = endpoint ? endpoint->cluster_id : SM_NONE,
		.detector = kind_and_detector >> 16,
		.detection = detection,
		.client = line ? line->id : 0,
		.at_ns = now_ns,
	};

	__u32 dropped = SM_COUNTER_EVENTS_DROPPED;
	__u64 *count;

	if (!bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		return 0;
	count = bpf_map_lookup_elem(&counters, &dropped); /* sm_count() without its stack */
	if (count)
		*count += 1;
	return 0;
}

/* A connect to the endpoint has ended: the agent's next sweep is to look at it. The mark comes
 * before the bit: whoever clears the bit and then the mark never leaves a mark without a bit. */
SM_VERIFIED_ONCE int sm_mark_unswept(__u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	__u32 at;
	__u64 *word;

	if (!state || !endpoint)
		return 0;
	WRITE_ONCE(state->unswept, 1);
	at = endpoint->cluster_id / 64;
	word = bpf_map_lookup_elem(&unswept, &at);
	if (word)
		__sync_fetch_and_or(word, 1ULL << (endpoint->cluster_id & 63));
	return 0;
}

/* Unejects an endpoint whose ejection has run out, where no agent did. */
SM_VERIFIED_ONCE int sm_uneject_if_due(__u32 endpoint_id, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_cluster_state *cluster;

	if (!state || !endpoint || !sm_outlier_uneject_due(state, now_ns))
		return 0;
	cluster = cluster_state_at(endpoint->cluster_id);
	if (cluster && sm_outlier_uneject(state, cluster, now_ns))
		sm_emit_event(SM_EVENT_UNEJECTED, endpoint_id, 0, SM_CLIENT_NONE, now_ns);
	return 0;
}

/* A detector fired for this endpoint, and the node is to eject it; enum sm_detection. */
SM_VERIFIED_ONCE __u32 sm_detect(__u32 endpoint_id, __u32 detector, __u32 enforcing_percent,
				 __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_cluster_state *cluster;
	struct sm_cluster_stats *stats;

	if (!state || !endpoint)
		return SM_DETECTION_NONE;
	cluster = cluster_state_at(endpoint->cluster_id);
	stats = sm_cluster_stats(endpoint->cluster_id);
	if (!cluster || !stats)
		return SM_DETECTION_NONE;
	return sm_outlier_detect(state, cluster, stats, detector, enforcing_percent, now_ns,
				 bpf_get_prandom_u32(), bpf_get_prandom_u32());
}

/* The same for one client, whose run is at this place; enum sm_detection. */
SM_VERIFIED_ONCE __u32 sm_detect_own(__u32 endpoint_id, __u32 place, __u32 own,
				     const struct sm_consecutive_rule *rule, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(place / SM_CLIENT_RUNS);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_run *run = sm_run_at(place);
	struct sm_cluster_state *cluster;
	struct sm_cluster_stats *stats;

	if (!state || !endpoint || !run || !line || !rule)
		return SM_DETECTION_NONE;
	cluster = cluster_state_at(endpoint->cluster_id);
	stats = sm_cluster_stats(endpoint->cluster_id);
	if (!cluster || !stats)
		return SM_DETECTION_NONE;
	return sm_outlier_detect_own(state, cluster, stats, run, own, sm_client_bit(line),
				     rule->detector, rule->enforcing_percent, now_ns,
				     bpf_get_prandom_u32(), bpf_get_prandom_u32());
}

/* A connection of this client was established. A coarse clock is enough for `now_ns`: epochs are
 * long. */
static __always_inline void sm_endpoint_served(__u32 endpoint_id, __u32 client, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(client);

	if (!state || !line)
		return;
	__sync_fetch_and_add(&sm_outcomes_of(state, line->number)->served, 1);
	if (unlikely(!READ_ONCE(state->unswept)))
		sm_mark_unswept(endpoint_id);
	sm_outlier_used(state, client, sm_client_bit(line), now_ns);
	if (unlikely(READ_ONCE(state->runs)))
		sm_run_served(client, endpoint_id);
	if (unlikely(READ_ONCE(state->ejected_until_ns)))
		sm_uneject_if_due(endpoint_id, now_ns);
}

/* A detector of rates fired for one client's outcomes; enum sm_detection. */
SM_VERIFIED_ONCE __u32 sm_detect_rate(__u32 endpoint_id, __u32 client,
				      const struct sm_consecutive_rule *rule, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(client);
	__u32 place;

	if (!state || !endpoint || !line || !rule)
		return SM_DETECTION_NONE;
	if (sm_outlier_agreed(state, client, sm_client_bit(line), now_ns))
		return sm_detect(endpoint_id, rule->detector, rule->enforcing_percent, now_ns);
	place = sm_run_claim(client, endpoint_id);
	if (place == SM_RUN_NOWHERE)
		return SM_DETECTION_NONE;
	return sm_detect_own(endpoint_id, place,
			     sm_own_ejections(client, endpoint->cluster_id, now_ns), rule, now_ns);
}

/* Each of the cluster's rules that the failure at `place` reaches ejects, or not. */
static __always_inline void sm_apply_rule(__u32 endpoint_id, __u32 cluster_id, __u32 place,
					  const struct sm_consecutive_rule *rule, int agreed,
					  __u64 now_ns)
{
	__u32 detection;

	if (agreed)
		detection = sm_detect(endpoint_id, rule->detector, rule->enforcing_percent, now_ns);
	else
		detection = sm_detect_own(
			endpoint_id, place,
			sm_own_ejections(place / SM_CLIENT_RUNS, cluster_id, now_ns), rule, now_ns);
	if (detection != SM_DETECTION_NONE && detection != SM_DETECTION_OVERFLOW)
		sm_emit_event(SM_EVENT_DETECTED | (__u32)rule->detector << 16, endpoint_id,
			      detection, place / SM_CLIENT_RUNS, now_ns);
}

/* Counts the failure of the run at `place`, and asks the cluster's rules. */
SM_VERIFIED_ONCE int sm_run_failed(__u32 endpoint_id, __u32 place, __u64 now_ns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_client_line *line = sm_client_line(place / SM_CLIENT_RUNS);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_run *run = sm_run_at(place);
	struct sm_cluster_state *cluster;
	__u32 failures;

	if (!state || !endpoint || !run || !line)
		return 0;
	cluster = cluster_state_at(endpoint->cluster_id);
	if (!cluster)
		return 0;
	__sync_fetch_and_add(&sm_outcomes_of(state, line->number)->failed, 1);
	if (unlikely(!READ_ONCE(state->unswept)))
		sm_mark_unswept(endpoint_id);
	sm_outlier_used(state, place / SM_CLIENT_RUNS, sm_client_bit(line), now_ns);
	failures = sm_outlier_failure(state, run, now_ns);
#pragma unroll
	for (int i = 0; i < SM_CONSECUTIVE_RULES; i++) {
		struct sm_consecutive_rule rule = cluster->consecutive[i];

		if (sm_outlier_fires(&rule, failures))
			sm_apply_rule(endpoint_id, endpoint->cluster_id, place, &rule,
				      sm_outlier_agreed(state, place / SM_CLIENT_RUNS,
							sm_client_bit(line), now_ns),
				      now_ns);
	}
	return 0;
}

/* A connect attempt of this client failed by what may be the endpoint's fault. */
SM_VERIFIED_ONCE int sm_endpoint_failed(__u32 endpoint_id, __u32 client)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 place;

	sm_uneject_if_due(endpoint_id, now_ns);
	place = sm_run_claim(client, endpoint_id);
	if (place != SM_RUN_NOWHERE)
		sm_run_failed(endpoint_id, place, now_ns);
	return 0;
}

#endif /* SOCKMESH_OUTLIER_H */
