/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Outlier detection as rules over the lines of an endpoint and its cluster. No lookup, no helper of
 * the kernel, time and chance are arguments: the unit tests run this very text beside the agent's
 * half (agent/health), and outlier.h brings it the lines.
 *
 * The steps of an ejection, its length and the multiplier are Envoy's
 * (source/common/upstream/outlier_detection_impl.cc). What Envoy has no need of is the question
 * whose fault a failure is: an Envoy sidecar serves one pod, these lines all pods of the node.
 */
#ifndef SOCKMESH_OUTLIER_RULES_H
#define SOCKMESH_OUTLIER_RULES_H

#include "sockmesh_abi.h"

#ifndef READ_ONCE
#define READ_ONCE(x)	 (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#endif

#define SM_MS_NS 1000000ULL

/* ---- one pod must not eject for all ---- */

/*
 * A failure speaks against the endpoint if its client was served there lately and now is not, or if
 * nobody was. It is disputed, and changes nothing, if others were served but this client never:
 * then the trouble is its own (its egress policy, its routes). Lately is this epoch and the one
 * before: 4.3 to 8.6 seconds.
 *
 * What it costs: when an endpoint dies, each client that it served speaks against it once, and all
 * clients do once those that it served have spoken or an epoch and a half have passed. So with one
 * client, or many, it is ejected by the very failure that reaches the threshold; with two or three,
 * of which one is silent, later by at most 8.6 seconds.
 */
#define SM_SERVED_EPOCH_SHIFT 32

/* Clients share 64 bits. Cookies of namespaces count upwards: Knuth's multiplier parts them. */
static __always_inline __u64 sm_client_bit(__u64 netns)
{
	return 1ULL << ((netns * 0x9e3779b97f4a7c15ULL) >> 58);
}

static __always_inline void sm_served_rotate(struct sm_endpoint_state *state, __u64 now_ns)
{
	__u32 epoch = (__u32)(now_ns >> SM_SERVED_EPOCH_SHIFT);
	__u32 seen = READ_ONCE(state->served_epoch);

	/* Nor back: a CPU that read the clock before the turn must not undo it, and forget all. */
	if ((__s32)(epoch - seen) <= 0 ||
	    __sync_val_compare_and_swap(&state->served_epoch, seen, epoch) != seen)
		return;
	WRITE_ONCE(state->served_before, epoch - seen == 1 ? READ_ONCE(state->served) : 0);
	WRITE_ONCE(state->served, 0);
}

/* The client was served: the streak of failures ends. */
static __always_inline void sm_outlier_success(struct sm_endpoint_state *state, __u64 netns,
					       __u64 now_ns)
{
	__u64 bit = sm_client_bit(netns);

	sm_served_rotate(state, now_ns);
	/* Mostly all is as it should be, and the line stays clean. */
	if (!(READ_ONCE(state->served) & bit))
		__sync_fetch_and_or(&state->served, bit);
	if (READ_ONCE(state->served_by[0]) != netns && READ_ONCE(state->served_by[1]) != netns) {
		WRITE_ONCE(state->served_by[1], READ_ONCE(state->served_by[0]));
		WRITE_ONCE(state->served_by[0], netns);
	}
	if (READ_ONCE(state->consecutive_failures))
		WRITE_ONCE(state->consecutive_failures, 0);
}

/* Whether one of the clients known by name is another than this one and has its bit. */
static __always_inline int sm_bit_is_shared(const struct sm_endpoint_state *state, __u64 netns)
{
	__u64 one = READ_ONCE(state->served_by[0]), other = READ_ONCE(state->served_by[1]);
	__u64 bit = sm_client_bit(netns);

	return (one && one != netns && sm_client_bit(one) == bit) ||
	       (other && other != netns && sm_client_bit(other) == bit);
}

/* The client is not among those known by name any more; whether it was. */
static __always_inline int sm_served_forget(struct sm_endpoint_state *state, __u64 netns)
{
	if (READ_ONCE(state->served_by[0]) == netns)
		WRITE_ONCE(state->served_by[0], 0);
	else if (READ_ONCE(state->served_by[1]) == netns)
		WRITE_ONCE(state->served_by[1], 0);
	else
		return 0;
	return 1;
}

/* Whether a failure that this client met speaks against the endpoint. */
static __always_inline int sm_outlier_counts_against(struct sm_endpoint_state *state, __u64 netns,
						     __u64 now_ns)
{
	__u64 bit = sm_client_bit(netns), served;
	int shared;

	sm_served_rotate(state, now_ns);
	served = READ_ONCE(state->served) | READ_ONCE(state->served_before);
	if (!(served & bit))
		return !served;
	/* With two clients the names tell whose the bit is, even if they share it. */
	shared = sm_bit_is_shared(state, netns);
	if (!sm_served_forget(state, netns) && shared)
		return 0;
	if (shared)
		return 1;
	__sync_fetch_and_and(&state->served, ~bit);
	__sync_fetch_and_and(&state->served_before, ~bit);
	return 1;
}

/* ---- detection ---- */

/* Counts a failure that speaks against the endpoint; the length of the streak with it. */
static __always_inline __u32 sm_outlier_add_to_streak(struct sm_endpoint_state *state)
{
	return __sync_fetch_and_add(&state->consecutive_failures, 1) + 1;
}

/*
 * Envoy counts for each detector up to its threshold, and from 0 again after each detection. One
 * streak for all detectors, which only a success or an unejection sets back, fires at the same
 * failures.
 */
static __always_inline int sm_outlier_fires(const struct sm_consecutive_rule *rule, __u32 streak)
{
	__u32 threshold = READ_ONCE(rule->threshold);

	return threshold && streak % threshold == 0;
}

/* How long the ejection lasts whose multiplier this is, without jitter. */
static __always_inline __u64 sm_ejection_ns(const struct sm_cluster_state *cluster,
					    __u32 multiplier)
{
	__u64 length = cluster->base_ejection_ns * multiplier;

	return length < cluster->max_ejection_ns ? length : cluster->max_ejection_ns;
}

/*
 * One more for this detector. Its number is checked where it is used, in a word that the compiler
 * knows nothing of: it would check once, far above, and the verifier of Linux 6.1 forgets what a
 * check said of a word that was spilled before it.
 */
static __always_inline void sm_count_detection(__u64 *counts, __u32 detector)
{
	__u64 index = detector;

	asm volatile("" : "+r"(index));
	if (index < SM_DETECTORS)
		__sync_fetch_and_add(&counts[index], 1);
}

/*
 * Ejects the endpoint, which cluster->ejected counts already; 0 where it is not to be, and then it
 * is not counted any more.
 */
static __always_inline int sm_outlier_claim(struct sm_endpoint_state *state,
					    struct sm_cluster_state *cluster, __u64 until)
{
	if (__sync_val_compare_and_swap(&state->ejected_until_ns, 0, until)) {
		/* Another CPU was faster. */
		__sync_fetch_and_add(&cluster->ejected, -1);
		return 0;
	}
	/* The agent marks the state, then unejects the endpoint; this claims the state, then looks
	 * at the mark. One of the two sees the other, and one alone counts the endpoint back. */
	if (READ_ONCE(state->withdrawn)) {
		if (__sync_val_compare_and_swap(&state->ejected_until_ns, until, 0) == until)
			__sync_fetch_and_add(&cluster->ejected, -1);
		return 0;
	}
	return 1;
}

/*
 * A detector fired: ejects, or says why not. Counting against the limit comes before the claim of
 * the state, so that two CPUs never eject more than are allowed.
 */
static __always_inline enum sm_detection sm_outlier_detect(struct sm_endpoint_state *state,
							   struct sm_cluster_state *cluster,
							   struct sm_cluster_stats *stats,
							   __u32 detector, __u32 enforcing_percent,
							   __u64 now_ns, __u32 dice, __u32 chance)
{
	__u64 base = READ_ONCE(cluster->base_ejection_ns), until;
	__u32 multiplier = READ_ONCE(state->multiplier);

	if (!base || READ_ONCE(state->ejected_until_ns) || detector >= SM_DETECTORS ||
	    READ_ONCE(state->withdrawn))
		return SM_DETECTION_NONE;
	sm_count_detection(stats->ejections_detected, detector);
	if (__sync_fetch_and_add(&cluster->ejected, 1) >= READ_ONCE(cluster->ejection_limit)) {
		__sync_fetch_and_add(&cluster->ejected, -1);
		__sync_fetch_and_add(&stats->ejections_overflow, 1);
		return SM_DETECTION_OVERFLOW;
	}
	if (dice % 100 >= enforcing_percent) {
		__sync_fetch_and_add(&cluster->ejected, -1);
		return SM_DETECTION_NOT_ENFORCED;
	}
	if (base * multiplier < cluster->max_ejection_ns + base)
		multiplier++;
	until = now_ns + sm_ejection_ns(cluster, multiplier) +
		SM_MS_NS * ((chance * ((__u64)cluster->jitter_ms + 1)) >> 32);
	if (!sm_outlier_claim(state, cluster, until))
		return SM_DETECTION_NONE;
	WRITE_ONCE(state->multiplier, multiplier);
	WRITE_ONCE(state->ejected_at_ns, now_ns);
	WRITE_ONCE(state->detector, detector);
	WRITE_ONCE(state->ejections, state->ejections + 1);
	sm_count_detection(stats->ejections_enforced, detector);
	return SM_DETECTION_EJECTED;
}

/* ---- unejection ---- */

/* Ejected for long enough: the next connection's end unejects it, if the agent is not there to do
 * so. */
static __always_inline int sm_outlier_uneject_due(const struct sm_endpoint_state *state,
						  __u64 now_ns)
{
	__u64 until = READ_ONCE(state->ejected_until_ns);

	return until && until <= now_ns;
}

/* Unejects the endpoint; 0 where it was not ejected. */
static __always_inline int sm_outlier_uneject(struct sm_endpoint_state *state,
					      struct sm_cluster_state *cluster, __u64 now_ns)
{
	__u64 until = READ_ONCE(state->ejected_until_ns);

	if (!until || __sync_val_compare_and_swap(&state->ejected_until_ns, until, 0) != until)
		return 0;
	WRITE_ONCE(state->consecutive_failures, 0);
	WRITE_ONCE(state->unejected_at_ns, now_ns);
	__sync_fetch_and_add(&cluster->ejected, -1);
	return 1;
}

#endif /* SOCKMESH_OUTLIER_RULES_H */
