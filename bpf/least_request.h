/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * LEAST_REQUEST over live connection counts.
 *
 * Equal weights, as Envoy: choice_count random hosts, with replacement, the one with strictly fewer
 * connections wins; or all hosts are compared, ties broken uniformly.
 *
 * Unequal weights: Envoy's scheduler picks host i at the rate w / (active + 1)^bias. That rate is
 * drawn from directly: by one draw that is accepted at it, else over all hosts of a small group,
 * and of a larger one over a few hosts drawn by weight, among which 1 / (active + 1)^bias decides
 * (sampling importance resampling).
 */
#ifndef SOCKMESH_LEAST_REQUEST_H
#define SOCKMESH_LEAST_REQUEST_H

#include "tables.h"

#define SM_LR_CANDIDATES  8
#define SM_LR_MAX_CHOICES 64
#define SM_LR_MAX_SCAN	  65536
#define SM_LR_EJECTED	  0x7fffffffU
#define SM_Q16		  (1U << 16)

/* The connections of an endpoint. An ejected one counts as the busiest of all, but in panic. */
static __always_inline __u32 sm_active_of(const struct sm_group *group, __u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	__u64 until;

	if (!state)
		return 0;
	until = READ_ONCE(state->ejected_until_ns);
	if (until && !(group->flags & SM_GROUP_PANIC) && until > bpf_ktime_get_ns())
		return SM_LR_EJECTED;
	return READ_ONCE(state->active);
}

static __always_inline __u32 sm_active(const struct sm_group *group, __u32 host)
{
	return sm_active_of(group, sm_host(group, host));
}

/* log2(x) in 16.16 for x >= 1; error below 0.01. */
static __always_inline __u32 sm_log2_q16(__u32 x)
{
	__u32 whole = 0, fraction;

#pragma unroll
	for (int shift = 16; shift; shift >>= 1) {
		if (x >> (whole + shift))
			whole += shift;
	}
	/* x / 2^whole - 1 in 0.16, then log2(1 + f) ~ f + 0.3372 f (1 - f). */
	fraction = (__u32)(((__u64)x << 16) >> whole) - SM_Q16;
	fraction += (__u32)(((__u64)fraction * (SM_Q16 - fraction) >> 16) * 22098 >> 16);
	return (whole << 16) + fraction;
}

/* 2^-y in 0.32 for y in 16.16; error below 0.3 %. */
static __always_inline __u64 sm_exp2_minus(__u64 y)
{
	__u64 whole = y >> 16, fraction = y & 0xffff, power;

	if (whole > 31)
		return 1;
	/* 2^f ~ 1 + f (0.6565 + 0.3435 f), in 16.16. */
	power = SM_Q16 + (fraction * (43024 + ((fraction * 22512) >> 16)) >> 16);
	return ((1ULL << 48) / power) >> whole;
}

/* ((least + 1) / (active + 1))^bias in 0.32, for active > least, by logarithms. A global function:
 * their many ways are verified once. */
__noinline __u64 sm_lr_power(__u32 active, __u32 least, __u32 bias_q16)
{
	__u64 logs = sm_log2_q16(active + 1) - sm_log2_q16(least + 1);

	return sm_exp2_minus(logs * bias_q16 >> 16);
}

/* ((least + 1) / (active + 1))^bias in 0.32: relative to the least loaded candidate, so that high
 * counts keep their precision. */
static __always_inline __u64 sm_lr_factor(__u32 active, __u32 least, __u32 bias_q16)
{
	if (active == least || !bias_q16)
		return 1ULL << 32;
	if (bias_q16 == SM_Q16)
		return (((__u64)least + 1) << 32) / ((__u64)active + 1);
	return sm_lr_power(active, least, bias_q16);
}

/* Small: Linux before 6.8 counts stack in steps of 32 bytes, and calls that lead here are three. */
struct sm_lr_candidates {
	__u32 host[SM_LR_CANDIDATES];
	__u64 rate[SM_LR_CANDIDATES]; /* first: weight << 32 | active */
	__u32 count;
	__u32 least; /* active */
};

/* All hosts with their weights, or as many as fit, drawn by weight and then alike. */
static __always_inline int sm_lr_draw(const struct sm_group *group, struct sm_lr_candidates *drawn)
{
	int all = group->host_count <= SM_LR_CANDIDATES;
	union sm_cell *ids = NULL; /* of four hosts */

	drawn->count = all ? group->host_count : SM_LR_CANDIDATES;
	drawn->least = (__u32)-1;
	for (__u32 i = 0; i < SM_LR_CANDIDATES && i < drawn->count; i++) {
		__u32 weight = 1U << 31, active;

		drawn->host[i] = i;
		if (all) {
			union sm_cell *cell = cells_at(group->table_cell + i);

			if (!(i & 3))
				ids = cells_at(group->host_cell + (i >> 2));
			if (!cell || !ids)
				return 0;
			weight = cell->alias.weight;
			active = sm_active_of(group, ids->words[i & 3]);
		} else {
			drawn->host[i] = sm_alias(group->table_cell, group->table_size);
			active = sm_active(group, drawn->host[i]);
		}
		if (active < drawn->least)
			drawn->least = active;
		drawn->rate[i] = (__u64)weight << 32 | active;
	}
	return 1;
}

/*
 * A host drawn by weight and accepted with probability 1 / (active + 1)^bias is drawn at the very
 * rate; a host without connections always is. Whoever is not accepted leaves the choice to
 * sm_lr_weighted(), which draws at that rate as well: so do both together, and where hosts are idle
 * one look is enough, however many there are.
 */
static __always_inline __u32 sm_lr_first(const struct sm_group *group)
{
	__u32 host = sm_alias(group->table_cell, group->table_size), active;

	if (host == SM_BROKEN)
		return SM_BROKEN;
	active = sm_active(group, host);
	if (!active || bpf_get_prandom_u32() < sm_lr_factor(active, 0, group->bias_q16))
		return host;
	return SM_BROKEN;
}

/* A global function: verified once, not for every way that leads here. */
__noinline __u32 sm_lr_weighted(const struct sm_group *group)
{
	struct sm_lr_candidates drawn = {};
	__u64 sum = 0, at, high;

	if (!group || !sm_lr_draw(group, &drawn))
		return SM_BROKEN;
	for (__u32 i = 0; i < SM_LR_CANDIDATES && i < drawn.count; i++) {
		/* weight < 2^32, factor <= 2^28: eight of them sum up below 2^63. */
		drawn.rate[i] =
			(drawn.rate[i] >> 32) *
			(sm_lr_factor((__u32)drawn.rate[i], drawn.least, group->bias_q16) >> 4);
		sum += drawn.rate[i];
	}
	/* Uniform below sum: the high half of sum times a random number of 64 bits. */
	high = bpf_get_prandom_u32();
	at = (sum >> 32) * high + (((sum >> 32) * (__u64)bpf_get_prandom_u32()) >> 32) +
	     (((sum & 0xffffffff) * high) >> 32);
	for (__u32 i = 0; i < SM_LR_CANDIDATES; i++) {
		if (i + 1 >= drawn.count || at < drawn.rate[i])
			return drawn.host[i];
		at -= drawn.rate[i];
	}
	return drawn.host[0];
}

struct sm_lr_scan {
	const struct sm_group *group;
	__u32 best;
	__u32 active;
	__u32 ties;
};

static long sm_lr_scan_one(__u64 i, struct sm_lr_scan *scan)
{
	__u32 active = sm_active(scan->group, (__u32)i);

	if (i && active > scan->active)
		return 0;
	if (!i || active < scan->active) {
		scan->ties = 1;
	} else {
		scan->ties++;
		if (sm_uniform(scan->ties))
			return 0;
	}
	scan->active = active;
	scan->best = (__u32)i;
	return 0;
}

static __noinline __u32 sm_lr_full_scan(const struct sm_group *group)
{
	struct sm_lr_scan scan = {.group = group};

	bpf_loop(group->host_count < SM_LR_MAX_SCAN ? group->host_count : SM_LR_MAX_SCAN,
		 sm_lr_scan_one, &scan, 0);
	return scan.best;
}

static __always_inline __u32 sm_least_request(const struct sm_group *group)
{
	__u32 count = group->host_count, best, active, choices = group->choice_count;

	if (count <= 1)
		return 0;
	if (group->flags & SM_GROUP_WEIGHTED) {
		best = sm_lr_first(group);
		return best != SM_BROKEN ? best : sm_lr_weighted(group);
	}
	if (group->flags & SM_GROUP_FULL_SCAN)
		return sm_lr_full_scan(group);
	best = sm_uniform(count);
	active = sm_active(group, best);
	for (__u32 i = 1; i < SM_LR_MAX_CHOICES && i < choices; i++) {
		__u32 other = sm_uniform(count);
		__u32 its = sm_active(group, other);

		if (its < active) {
			best = other;
			active = its;
		}
	}
	return best;
}

#endif /* SOCKMESH_LEAST_REQUEST_H */
