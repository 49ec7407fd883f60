/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Outlier detection as rules over the states of an endpoint and its cluster. There is no lookup and
 * no kernel helper; time and random numbers are arguments. So the unit tests run this very text
 * beside the agent's half (agent/health). outlier.h does the lookups.
 *
 * The steps of an ejection, its length and the multiplier are Envoy's
 * (source/common/upstream/outlier_detection_impl.cc). Unlike a sidecar, which serves one pod, this
 * state is shared by all pods of the node, so the rules must also decide whose fault a failure is.
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
 * A failure counts against the endpoint if its client was served there lately, or if no client was.
 * It is disputed, and changes nothing, if other clients were served lately and this client was not:
 * the trouble is then the client's own (its egress policy, its routes). Lately is this epoch and
 * the one before: 4.3 to 8.6 seconds.
 *
 * The price: when an endpoint dies, a failure of each served client counts once. Failures of all
 * clients count once every served client has failed, or two epochs have passed. So with one client,
 * or with many, the very failure that reaches the threshold ejects. With two or three clients, one
 * of them silent, the ejection comes at most 8.6 seconds later.
 */
#define SM_SERVED_EPOCH_SHIFT 32

/* Clients share 64 bits. Cookies of namespaces count upwards, and Knuth's multiplier spreads
 * them. */
static __always_inline __u64 sm_client_bit(__u64 netns)
{
	return 1ULL << ((netns * 0x9e3779b97f4a7c15ULL) >> 58);
}

static __always_inline void sm_served_rotate(struct sm_endpoint_state *state, __u64 now_ns)
{
	__u32 epoch = (__u32)(now_ns >> SM_SERVED_EPOCH_SHIFT);
	__u32 seen = READ_ONCE(state->served_epoch);

	/* Never back: a CPU that read the clock before the change of epoch must not undo the
	 * change and forget everything. */
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
	/* Usually nothing changes, and the cache line stays clean. */
	if (!(READ_ONCE(state->served) & bit))
		__sync_fetch_and_or(&state->served, bit);
	if (READ_ONCE(state->served_by[0]) != netns && READ_ONCE(state->served_by[1]) != netns) {
		WRITE_ONCE(state->served_by[1], READ_ONCE(state->served_by[0]));
		WRITE_ONCE(state->served_by[0], netns);
	}
	if (READ_ONCE(state->consecutive_failures))
		WRITE_ONCE(state->consecutive_failures, 0);
}

/* Whether another client that is known by name has the same bit as this client. */
static __always_inline int sm_bit_is_shared(const struct sm_endpoint_state *state, __u64 netns)
{
	__u64 one = READ_ONCE(state->served_by[0]), other = READ_ONCE(state->served_by[1]);
	__u64 bit = sm_client_bit(netns);

	return (one && one != netns && sm_client_bit(one) == bit) ||
	       (other && other != netns && sm_client_bit(other) == bit);
}

/* Removes the client from the clients that are known by name. True if it was one of them. */
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

/* Whether a failure of this client counts against the endpoint. */
static __always_inline int sm_outlier_counts_against(struct sm_endpoint_state *state, __u64 netns,
						     __u64 now_ns)
{
	__u64 bit = sm_client_bit(netns), served;
	int shared;

	sm_served_rotate(state, now_ns);
	served = READ_ONCE(state->served) | READ_ONCE(state->served_before);
	if (!(served & bit))
		return !served;
	/* With two clients the names tell which client set the bit, even if they share it. */
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

/* How long an ejection with this multiplier lasts, without jitter. */
static __always_inline __u64 sm_ejection_ns(const struct sm_cluster_state *cluster,
					    __u32 multiplier)
{
	__u64 length = cluster->base_ejection_ns * multiplier;

	return length < cluster->max_ejection_ns ? length : cluster->max_ejection_ns;
}

/*
 * Counts one detection of this detector. The asm hides the number from the compiler, which would
 * otherwise check it once, far above. Linux 6.1's verifier forgets a check of a value that was
 * spilled before the check.
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
