/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LEAST_REQUEST over live connection counts.
 *
 * Equal weights, as in Envoy: choice_count random hosts are drawn with replacement, and the host
 * with strictly fewer connections wins. Or all hosts are compared, and ties are broken uniformly.
 *
 * Unequal weights: Envoy's scheduler picks host i at the rate w / (active + 1)^bias. This code does
 * the same by draws that are accepted or rejected. A host is drawn with probability d ~ w^(1 / (1 +
 * bias)), which is about where its share settles. It is accepted with probability (floor /
 * load)^bias, where its load is (active + 1) / d and the floor is the least load in the group. The
 * product is Envoy's rate. Most first draws are accepted, however many hosts there are. Each
 * rejected draw looks at one host to keep the floor true (`cursor`). After some rejected draws in a
 * row all hosts are gone through, which chooses at the same rate. Above SM_LR_MAX_PASS hosts this
 * is a choice among SM_LR_DRAWS drawn hosts (sampling importance resampling). That is near the
 * rate, not at it, and matters where few hosts are idle.
 */
#ifndef SOCKMESH_LEAST_REQUEST_H
#define SOCKMESH_LEAST_REQUEST_H

#include "policy/tables.h"

#define SM_LR_DRAWS	  16
#define SM_LR_MAX_PASS	  256
#define SM_LR_FEW_CHOICES 2
#define SM_LR_MAX_SCAN	  65536
#define SM_LR_EJECTED	  0x7fffffffU
#define SM_LR_LOAD_MAX	  (1ULL << 39) /* its product with 24 bits fits into 64 */
#define SM_Q16		  (1U << 16)

/* The connections of an endpoint. An ejected endpoint counts as the busiest of all, except in
 * panic. */
static __always_inline __u32 sm_active_of(const struct sm_group *group, __u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	__u64 until;

	if (unlikely(!state))
		return 0;
	until = READ_ONCE(state->ejected_until_ns);
	if (unlikely(until) && !(group->flags & SM_GROUP_PANIC) && until > bpf_ktime_get_ns())
		return SM_LR_EJECTED;
	return sm_load_of_state(state);
}

static __always_inline __u32 sm_active(const struct sm_group *group, __u32 host)
{
	return sm_active_of(group, sm_host(group, host));
}

/* A load as the cursor holds it, rounded down: 20.4. */
static __always_inline __u32 sm_lr_coarse(__u64 load)
{
	__u64 coarse = load >> SM_LR_COARSE_SHIFT;

	return coarse < SM_LR_COARSE_MAX ? (__u32)coarse : SM_LR_COARSE_MAX;
}

/* log2(x) in 16.16 for x >= 1; error below 0.0003. */
static __always_inline __u32 sm_log2_q16(__u32 x)
{
	__u32 whole = 0;
	__u64 fraction, bend;

#pragma unroll
	for (int shift = 16; shift; shift >>= 1) {
		if (x >> (whole + shift))
			whole += shift;
	}
	/* f = x / 2^whole - 1 in 0.16; log2(1 + f) ~ f + f (1 - f) (0.4426 - f (0.2554 - 0.0972
	 * f)). */
	fraction = (((__u64)x << 16) >> whole) - SM_Q16;
	bend = 29006 - (fraction * (16739 - (fraction * 6370 >> 16)) >> 16);
	fraction += (fraction * (SM_Q16 - fraction) >> 16) * bend >> 16;
	return (whole << 16) + (__u32)fraction;
}

/* 2^-y in 0.32 for y in 16.16; relative error below 0.0002 down to 2^-16. */
static __always_inline __u64 sm_exp2_minus(__u64 y)
{
	__u64 whole = y >> 16, fraction = y & 0xffff, power;

	if (whole > 31)
		return 1;
	/* 2^f ~ 1 + f - f (1 - f) (0.3046 + 0.0783 f), in 16.16. */
	power = SM_Q16 + fraction -
		((fraction * (SM_Q16 - fraction) >> 16) * (19960 + (fraction * 5130 >> 16)) >> 16);
	return ((1ULL << 48) / power) >> whole;
}

/* (floor / load)^bias in 0.32, for load > floor, by logarithms. */
SM_VERIFIED_ONCE __u64 sm_lr_power(__u64 load, __u64 floor, __u32 bias_q16)
{
	__u64 logs;

	if (load >> 32) { /* a floor that loses its digits here is almost nothing beside the load */
		load >>= 8;
		floor >>= 8;
	}
	logs = sm_log2_q16((__u32)load) - sm_log2_q16((__u32)floor);
	return sm_exp2_minus(logs * bias_q16 >> 16);
}

/* (floor / load)^bias in 0.32, at most 1. */
static __always_inline __u64 sm_lr_factor(__u64 load, __u64 floor, __u32 bias_q16)
{
	if (load <= floor || !bias_q16)
		return 1ULL << 32;
	if (bias_q16 == SM_Q16)
		return (floor << 24) / load << 8;
	return sm_lr_power(load, floor, bias_q16);
}

/* True with probability (floor / load)^bias. */
static __always_inline int sm_lr_accepts(__u64 load, __u64 floor, __u32 bias_q16)
{
	__u64 random = sm_draw();

	if (load <= floor)
		return 1;
	if (bias_q16 == SM_Q16)
		return (random >> 8) * load < floor << 24; /* no division */
	return random < sm_lr_factor(load, floor, bias_q16);
}

/* The load of a host: (active + 1) / draw, where `draw` is its part of the draws, relative to
 * the part of the heaviest host. 16.16, at most SM_LR_LOAD_MAX. */
static __always_inline __u64 sm_lr_load(const struct sm_group *group, __u32 host)
{
	union sm_cell *cell = cells_at(group->table_cell + host);
	__u64 count = (__u64)sm_active(group, host) + 1, load;

	load = cell && count < SM_LR_EJECTED ? count * cell->alias.inverse_q16 : SM_LR_LOAD_MAX;
	return load < SM_LR_LOAD_MAX ? load : SM_LR_LOAD_MAX;
}

/*
 * Looks at one host more, round about: the floor rises after each round to the least that was seen
 * in it, and falls at once where less is seen. Several CPUs may look at the same time: then one of
 * the looks is lost, and nothing else.
 */
SM_VERIFIED_ONCE int sm_lr_update_floor(struct sm_group *group)
{
	__u32 floor, least, at, load;
	__u64 cursor;

	if (!group)
		return 0;
	cursor = READ_ONCE(group->cursor);
	floor = SM_LR_FLOOR(cursor);
	least = SM_LR_LEAST(cursor);
	at = SM_LR_AT(cursor);
	load = sm_lr_coarse(sm_lr_load(group, at));
	if (!least || load < least)
		least = load;
	if (load < floor)
		floor = load;
	if (++at >= group->host_count || at >= SM_LR_MAX_SCAN) {
		floor = least;
		least = 0;
		at = 0;
	}
	WRITE_ONCE(group->cursor, SM_LR_CURSOR(floor, least, at));
	return 0;
}

/* The floor, 16.16. It falls to `load` if `load` is less. No host's load is below 1. */
static __always_inline __u64 sm_lr_floor(struct sm_group *group, __u64 load)
{
	__u64 cursor = READ_ONCE(group->cursor);
	__u32 floor = SM_LR_FLOOR(cursor), coarse = sm_lr_coarse(load);

	if (coarse < floor) {
		WRITE_ONCE(group->cursor,
			   SM_LR_CURSOR(coarse, SM_LR_LEAST(cursor), SM_LR_AT(cursor)));
		floor = coarse;
	}
	return floor ? (__u64)floor << SM_LR_COARSE_SHIFT : SM_Q16;
}

/* One pass over all hosts, or over some drawn hosts, which chooses a host at its rate. */
struct sm_lr_pass {
	const struct sm_group *group;
	__u64 sum; /* of the rates so far */
	__u64 floor;
	__u32 best;
	__u32 all;
};

static long sm_lr_weigh(__u64 i, struct sm_lr_pass *pass)
{
	const struct sm_group *group = pass->group;
	__u64 random = sm_draw(), rate = 1U << 24;
	__u32 host = (__u32)i;

	if (pass->all) {
		union sm_cell *cell = cells_at(group->table_cell + host);

		rate = cell && cell->alias.inverse_q16 ? (1ULL << 40) / cell->alias.inverse_q16 : 0;
	} else {
		host = sm_alias(group->table_cell, group->table_size);
	}
	/* Twice 2^24 at most: SM_LR_MAX_PASS of them sum up to 2^56. */
	rate *= sm_lr_factor(sm_lr_load(group, host), pass->floor, group->bias_q16) >> 8;
	pass->sum += rate;
	/* A value that is uniform below sum: the product of sum and a random fraction. */
	if ((pass->sum >> 32) * random + ((pass->sum & 0xffffffff) * random >> 32) < rate)
		pass->best = host;
	return 0;
}

/* The choice after rejected draws. */
SM_VERIFIED_ONCE __u32 sm_lr_pick_scan(const struct sm_group *group, __u64 floor)
{
	struct sm_lr_pass pass = {.group = group, .floor = floor};

	if (!group)
		return SM_BROKEN;
	pass.all = group->host_count <= SM_LR_MAX_PASS;
	bpf_loop(pass.all ? group->host_count : SM_LR_DRAWS, sm_lr_weigh, &pass, 0);
	return pass.best;
}

/* One draw of a host. */
struct sm_lr_draw {
	struct sm_group *group;
	__u64 floor;
	__u32 host; /* SM_BROKEN: the group is broken */
	__u32 accepted;
};

/* True: this is the choice. */
static __always_inline int sm_lr_draw(struct sm_lr_draw *draw)
{
	struct sm_group *group = draw->group;
	__u32 host = sm_alias(group->table_cell, group->table_size);
	__u64 load;

	draw->host = host;
	if (host == SM_BROKEN)
		return 1;
	load = sm_lr_load(group, host);
	draw->floor = sm_lr_floor(group, load);
	return sm_lr_accepts(load, draw->floor, group->bias_q16);
}

static long sm_lr_draw_again(__u64 i, struct sm_lr_draw *draw)
{
	sm_lr_update_floor(draw->group);
	draw->accepted = (__u32)sm_lr_draw(draw);
	return draw->accepted;
}

/* Unequal weights. */
SM_VERIFIED_ONCE __u32 sm_lr_pick_weighted(struct sm_group *group)
{
	struct sm_lr_draw draw = {.group = group};
	__u32 draws;

	if (!group)
		return SM_BROKEN;
	if (sm_lr_draw(&draw))
		return draw.host;
	draws = group->host_count < SM_LR_DRAWS ? group->host_count : SM_LR_DRAWS;
	bpf_loop(draws - 1, sm_lr_draw_again, &draw, 0);
	if (draw.accepted)
		return draw.host;
	sm_lr_update_floor(group);
	return sm_lr_pick_scan(group, draw.floor);
}

struct sm_lr_scan {
	const struct sm_group *group;
	__u32 best;
	__u32 active;
	__u32 ties;
	__u32 drawn; /* drawn hosts instead of all; the first one keeps a tie */
};

static long sm_lr_scan_one(__u64 i, struct sm_lr_scan *scan)
{
	__u32 host = scan->drawn ? sm_uniform(scan->group->host_count) : (__u32)i;
	__u32 active = sm_active(scan->group, host);

	if (i && (active > scan->active || (active == scan->active && scan->drawn)))
		return 0;
	if (!i || active < scan->active) {
		scan->ties = 1;
	} else {
		scan->ties++;
		if (sm_uniform(scan->ties))
			return 0;
	}
	scan->active = active;
	scan->best = host;
	return 0;
}

static __always_inline __u32 sm_lr_scan(const struct sm_group *group, __u32 drawn)
{
	struct sm_lr_scan scan = {.group = group, .drawn = drawn};
	__u32 looks = drawn ? group->choice_count : group->host_count;

	bpf_loop(looks < SM_LR_MAX_SCAN ? looks : SM_LR_MAX_SCAN, sm_lr_scan_one, &scan, 0);
	return scan.best;
}

/* Equal weights. */
SM_VERIFIED_ONCE __u32 sm_lr_pick_equal(const struct sm_group *group)
{
	__u32 count, best, active, choices;

	if (!group)
		return SM_BROKEN;
	count = group->host_count;
	choices = group->choice_count;
	if (count <= 1)
		return 0;
	if (group->flags & SM_GROUP_FULL_SCAN || choices > SM_LR_FEW_CHOICES)
		return sm_lr_scan(group, !(group->flags & SM_GROUP_FULL_SCAN));
	best = sm_uniform(count);
	active = sm_active(group, best);
	if (choices > 1) {
		__u32 other = sm_uniform(count);

		if (sm_active(group, other) < active)
			best = other;
	}
	return best;
}

static __always_inline __u32 sm_least_request_pick(struct sm_group *group)
{
	if (group->flags & SM_GROUP_WEIGHTED)
		return sm_lr_pick_weighted(group);
	return sm_lr_pick_equal(group);
}

/* A pick counts an ejected host as the busiest, so this is seldom needed. It draws without a look
 * at loads. */
static __always_inline __u32 sm_least_request_next(const struct sm_group *group)
{
	if (!(group->flags & SM_GROUP_WEIGHTED))
		return sm_uniform(group->host_count);
	return group->table_size ? sm_alias(group->table_cell, group->table_size) : SM_BROKEN;
}

#endif /* SOCKMESH_LEAST_REQUEST_H */
