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

/* ---- clients: nobody speaks for others ---- */

/*
 * A client's failures count for that client alone, as in its own Envoy: each client has its own run
 * of failures (struct sm_run), its own successes end it, and a threshold ejects the endpoint for
 * the client. For the node the endpoint is ejected as soon as more than half of the clients that
 * used it lately have ejected it themselves, and at least two of them. Where one client alone used
 * it lately, this one decides.
 *
 * Lately is this epoch and the one before: 69 to 137 seconds. A client that was silent for so long
 * has no voice. Its own run decides for it as soon as it comes back.
 */
#define SM_USERS_EPOCH_SHIFT 36

/* Turns to the present epoch; 1 where it was another one. What was noted in the last epoch is noted
 * in `before` then. */
static __always_inline int sm_epoch_turn(__u32 *epoch, __u64 *bits, __u64 *before, __u64 now_ns)
{
	__u32 present = (__u32)(now_ns >> SM_USERS_EPOCH_SHIFT);
	__u32 seen = READ_ONCE(*epoch);

	/* Never back: a CPU that read the clock before the change of epoch must not undo the
	 * change and forget everything. */
	if ((__s32)(present - seen) <= 0 ||
	    __sync_val_compare_and_swap(epoch, seen, present) != seen)
		return 0;
	WRITE_ONCE(*before, present - seen == 1 ? READ_ONCE(*bits) : 0);
	WRITE_ONCE(*bits, 0);
	return 1;
}

static __always_inline __u64 sm_users(const struct sm_endpoint_state *state)
{
	return READ_ONCE(state->users) | READ_ONCE(state->users_before);
}

/* Where the outcomes of the client with this number are counted. */
static __always_inline struct sm_outcomes *sm_outcomes_of(struct sm_endpoint_state *state,
							  __u32 number)
{
	return &state->outcomes[number & (SM_OUTCOME_CLIENTS - 1)];
}

/* The client used the endpoint. `bit`: 1 << its number. */
static __always_inline void sm_outlier_used(struct sm_endpoint_state *state, __u32 client,
					    __u64 bit, __u64 now_ns)
{
	if (sm_epoch_turn(&state->users_epoch, &state->users, &state->users_before, now_ns)) {
		WRITE_ONCE(state->user[0], 0);
		WRITE_ONCE(state->user[1], 0);
	}
	/* Usually nothing changes, and the cache line stays clean. */
	if (!(READ_ONCE(state->users) & bit))
		__sync_fetch_and_or(&state->users, bit);
	if (READ_ONCE(state->user[0]) != client && READ_ONCE(state->user[1]) != client) {
		WRITE_ONCE(state->user[1], READ_ONCE(state->user[0]));
		WRITE_ONCE(state->user[0], client);
	}
}

static __always_inline __u32 sm_count_bits(__u64 bits)
{
	bits -= (bits >> 1) & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + ((bits >> 2) & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (__u32)((bits * 0x0101010101010101ULL) >> 56);
}

/* Whether no other client than this one used the endpoint lately. Clients may share a bit; the last
 * two of this epoch are known by name. */
static __always_inline int sm_outlier_alone(const struct sm_endpoint_state *state, __u32 client,
					    __u64 bit)
{
	__u32 one = READ_ONCE(state->user[0]), other = READ_ONCE(state->user[1]);

	return !(sm_users(state) & ~bit) && (!one || one == client) && (!other || other == client);
}

/* Whether the clients that used the endpoint lately agree that it is to be ejected, once this
 * client does. */
static __always_inline int sm_outlier_agreed(struct sm_endpoint_state *state, __u32 client,
					     __u64 bit, __u64 now_ns)
{
	__u64 users = sm_users(state) | bit, votes;

	if (sm_outlier_alone(state, client, bit))
		return 1;
	sm_epoch_turn(&state->votes_epoch, &state->votes, &state->votes_before, now_ns);
	votes = (READ_ONCE(state->votes) | READ_ONCE(state->votes_before) | bit) & users;
	return sm_count_bits(votes) >= 2 && 2 * sm_count_bits(votes) > sm_count_bits(users);
}

/* ---- a client's run ---- */

static __always_inline void sm_run_clear(struct sm_endpoint_state *state, struct sm_run *run)
{
	__u32 failures = READ_ONCE(run->failures);

	if (failures && __sync_val_compare_and_swap(&run->failures, failures, 0) == failures)
		__sync_fetch_and_add(&state->runs, -1);
	if (READ_ONCE(state->consecutive_failures))
		WRITE_ONCE(state->consecutive_failures, 0);
}

/* The client's own ejection ends when its time is over, and with it the run. */
static __always_inline void sm_run_return(struct sm_endpoint_state *state, struct sm_run *run,
					  __u64 now_ns)
{
	__u64 until = READ_ONCE(run->ejected_until_ns);

	if (!until || until > now_ns ||
	    __sync_val_compare_and_swap(&run->ejected_until_ns, until, 0) != until)
		return;
	sm_run_clear(state, run);
}

/* The client was served: its run of failures ends, and its voice. Its own ejection does not: a
 * connection that was under way says no more than those before it. */
static __always_inline void sm_outlier_success(struct sm_endpoint_state *state, struct sm_run *run,
					       __u64 bit, __u64 now_ns)
{
	sm_run_return(state, run, now_ns);
	if (READ_ONCE(run->ejected_until_ns))
		return;
	sm_run_clear(state, run);
	if (READ_ONCE(state->votes) & bit)
		__sync_fetch_and_and(&state->votes, ~bit);
	if (READ_ONCE(state->votes_before) & bit)
		__sync_fetch_and_and(&state->votes_before, ~bit);
}

/* ---- detection ---- */

/* Counts a failure of the client; the length of its run with it. An unejection ended all runs. */
static __always_inline __u32 sm_outlier_failure(struct sm_endpoint_state *state, struct sm_run *run,
						__u64 now_ns)
{
	__u32 returns = READ_ONCE(state->returns), failures;

	sm_run_return(state, run, now_ns);
	if (READ_ONCE(run->returns) != returns) {
		sm_run_clear(state, run);
		WRITE_ONCE(run->returns, returns);
	}
	WRITE_ONCE(run->failed_at_ns, now_ns);
	failures = __sync_fetch_and_add(&run->failures, 1);
	if (!failures)
		__sync_fetch_and_add(&state->runs, 1);
	WRITE_ONCE(state->consecutive_failures, failures + 1);
	return failures + 1;
}

/*
 * Envoy counts for each detector up to its threshold, and from 0 again after each detection. One
 * run for all detectors, which only a success or an unejection sets back, fires at the same
 * failures.
 */
static __always_inline int sm_outlier_fires(const struct sm_consecutive_rule *rule, __u32 run)
{
	__u32 threshold = READ_ONCE(rule->threshold);

	return threshold && run % threshold == 0;
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
	/* They are heard. The next ejection is agreed on anew. */
	WRITE_ONCE(state->votes, 0);
	WRITE_ONCE(state->votes_before, 0);
	sm_count_detection(stats->ejections_enforced, detector);
	return SM_DETECTION_EJECTED;
}

/* The multiplier of a client's own ejections, which has decayed since the last one was over. */
static __always_inline __u32 sm_own_multiplier(const struct sm_cluster_state *cluster,
					       const struct sm_run *run, __u64 over_ns,
					       __u64 now_ns)
{
	__u64 interval = READ_ONCE(cluster->interval_ns);
	__u32 multiplier = READ_ONCE(run->multiplier);
	__u64 decay = interval && now_ns > over_ns ? (now_ns - over_ns) / interval : 0;

	multiplier = decay < multiplier ? multiplier - (__u32)decay : 0;
	if (cluster->base_ejection_ns * multiplier <
	    cluster->max_ejection_ns + cluster->base_ejection_ns)
		multiplier++;
	return multiplier;
}

/* The endpoint's line says until when somebody's own ejection may last. */
static __always_inline void sm_own_until(struct sm_endpoint_state *state, __u64 until)
{
	__u64 seen = READ_ONCE(state->own_until_ns);

	if (seen < until)
		seen = __sync_val_compare_and_swap(&state->own_until_ns, seen, until);
	if (seen < until)
		__sync_val_compare_and_swap(&state->own_until_ns, seen, until);
}

/*
 * A detector fired for one client, and the others do not agree: ejects for this client alone, or
 * says why not. `own`: endpoints of the cluster that it has ejected so far.
 */
static __always_inline enum sm_detection
sm_outlier_detect_own(struct sm_endpoint_state *state, struct sm_cluster_state *cluster,
		      struct sm_cluster_stats *stats, struct sm_run *run, __u32 own, __u64 bit,
		      __u32 detector, __u32 enforcing_percent, __u64 now_ns, __u32 dice,
		      __u32 chance)
{
	__u32 multiplier;
	__u64 until;

	if (!READ_ONCE(cluster->base_ejection_ns) || READ_ONCE(state->ejected_until_ns) ||
	    detector >= SM_DETECTORS || READ_ONCE(state->withdrawn) ||
	    READ_ONCE(run->ejected_until_ns))
		return SM_DETECTION_NONE;
	sm_count_detection(stats->ejections_detected, detector);
	if (own + READ_ONCE(cluster->ejected) >= READ_ONCE(cluster->ejection_limit)) {
		__sync_fetch_and_add(&stats->ejections_overflow, 1);
		return SM_DETECTION_OVERFLOW;
	}
	if (dice % 100 >= enforcing_percent)
		return SM_DETECTION_NOT_ENFORCED;
	multiplier = sm_own_multiplier(cluster, run, READ_ONCE(run->over_ns), now_ns);
	until = now_ns + sm_ejection_ns(cluster, multiplier) +
		SM_MS_NS * ((chance * ((__u64)cluster->jitter_ms + 1)) >> 32);
	if (__sync_val_compare_and_swap(&run->ejected_until_ns, 0, until))
		return SM_DETECTION_NONE;
	WRITE_ONCE(run->multiplier, multiplier);
	WRITE_ONCE(run->ejected_at_ns, now_ns);
	WRITE_ONCE(run->over_ns, until);
	WRITE_ONCE(run->detector, detector);
	WRITE_ONCE(run->ejections, run->ejections + 1);
	__sync_fetch_and_or(&state->votes, bit);
	sm_own_until(state, until);
	__sync_fetch_and_add(&stats->ejections_own, 1);
	return SM_DETECTION_OWN;
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
	__sync_fetch_and_add(&state->returns, 1);
	WRITE_ONCE(state->consecutive_failures, 0);
	WRITE_ONCE(state->unejected_at_ns, now_ns);
	__sync_fetch_and_add(&cluster->ejected, -1);
	return 1;
}

#endif /* SOCKMESH_OUTLIER_RULES_H */
