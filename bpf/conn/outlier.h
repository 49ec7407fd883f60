/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outlier detection where outcomes happen: gives the rules their states, the time and random
 * numbers, and tells the agent through the ring. */
#ifndef SOCKMESH_OUTLIER_H
#define SOCKMESH_OUTLIER_H

/* Included first, because it defines READ_ONCE. */
#include "conn/stats.h"

#include "conn/outlier_rules.h"

static __always_inline void sm_emit_event(__u32 kind, __u32 endpoint_id, __u32 cluster_id,
					  __u32 detector, __u32 detection, __u64 now_ns)
{
	struct sm_event event = {
		.kind = kind,
		.endpoint_id = endpoint_id,
		.cluster_id = cluster_id,
		.detector = detector,
		.detection = detection,
		.at_ns = now_ns,
	};

	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		sm_count(SM_COUNTER_EVENTS_DROPPED);
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
		sm_emit_event(SM_EVENT_UNEJECTED, endpoint_id, endpoint->cluster_id, 0, 0, now_ns);
	return 0;
}

/* A detector fired for this endpoint; enum sm_detection. */
static __always_inline __u32 sm_detect(__u32 endpoint_id, __u32 detector, __u32 enforcing_percent,
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

/* A connection was established. Epochs are seconds long, so the coarse clock tells them. */
static __always_inline void sm_endpoint_served(__u32 endpoint_id, __u64 netns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);

	if (!state)
		return;
	sm_outlier_success(state, netns, bpf_ktime_get_coarse_ns());
	if (unlikely(READ_ONCE(state->ejected_until_ns)))
		sm_uneject_if_due(endpoint_id, bpf_ktime_get_ns());
}

/* A connect attempt failed by what may be the endpoint's fault. */
SM_VERIFIED_ONCE int sm_endpoint_failed(__u32 endpoint_id, __u64 netns)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	__u64 now_ns = bpf_ktime_get_ns();
	struct sm_cluster_state *cluster;
	struct sm_endpoint_stats *stats;
	__u32 streak, detection;

	if (!state || !endpoint)
		return 0;
	cluster = cluster_state_at(endpoint->cluster_id);
	if (!cluster)
		return 0;
	sm_uneject_if_due(endpoint_id, now_ns);
	if (!sm_outlier_counts_against(state, netns, now_ns)) {
		stats = sm_endpoint_stats(endpoint_id);
		if (stats)
			SM_ADD(stats->disputed, 1);
		return 0;
	}
	streak = sm_outlier_add_to_streak(state);
#pragma unroll
	for (int i = 0; i < SM_CONSECUTIVE_RULES; i++) {
		struct sm_consecutive_rule *rule = &cluster->consecutive[i];

		if (!sm_outlier_fires(rule, streak))
			continue;
		detection = sm_detect(endpoint_id, rule->detector, rule->enforcing_percent, now_ns);
		if (detection == SM_DETECTION_EJECTED || detection == SM_DETECTION_NOT_ENFORCED)
			sm_emit_event(SM_EVENT_DETECTED, endpoint_id, endpoint->cluster_id,
				      rule->detector, detection, now_ns);
	}
	return 0;
}

#endif /* SOCKMESH_OUTLIER_H */
