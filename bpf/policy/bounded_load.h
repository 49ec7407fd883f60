/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounded load for the hash policies (hash_balance_factor), step by step as Envoy does it: a host
 * may have max(1, ceil(weight * total)) connections, where total is (the cluster's + 1) * factor,
 * and weight a double. A hash whose host has more goes to the first host with room, in an order
 * shuffled by a Mersenne twister that the hash seeds; where none has room, to the least overloaded.
 *
 * Only groups with balance_percent come here; their clusters alone count sm_cluster_state.active.
 */
#ifndef SOCKMESH_BALANCE_H
#define SOCKMESH_BALANCE_H

#include "policy/tables.h"

/* Beyond, hosts are drawn with replacement: the same rule, another order than Envoy's. */
#define SM_BALANCE_HOSTS   4096
#define SM_BALANCE_SCRATCH 16
#define SM_MT_WORDS	   624
#define SM_MT_MIDDLE	   397
#define SM_BALANCE_REDRAWS 8

/* A shuffle at work: too large for the stack. */
struct sm_balance_scratch {
	__u32 busy;
	__u32 at; /* next word of the twister */
	__u32 twister[SM_MT_WORDS];
	__u16 order[SM_BALANCE_HOSTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SM_BALANCE_SCRATCH);
	__type(key, __u32);
	__type(value, struct sm_balance_scratch);
} balance_scratch SEC(".maps") __weak;

struct sm_twister_seeding {
	struct sm_balance_scratch *scratch;
	__u32 x;
	__u32 pad;
};

static long sm_twister_seed_one(__u64 i, struct sm_twister_seeding *seeding)
{
	__u32 at = (__u32)i;

	if (at >= SM_MT_WORDS)
		return 1;
	if (at)
		seeding->x = 1812433253U * (seeding->x ^ (seeding->x >> 30)) + at;
	seeding->scratch->twister[at] = seeding->x;
	return 0;
}

/* std::mt19937 with this seed. */
static __always_inline void sm_twister_seed(struct sm_balance_scratch *scratch, __u32 seed)
{
	struct sm_twister_seeding seeding = {.scratch = scratch, .x = seed};

	scratch->at = 0;
	bpf_loop(SM_MT_WORDS, sm_twister_seed_one, &seeding, 0);
}

/* One word at a time: the same numbers as renewing all 624 at once. */
static __always_inline __u32 sm_twister_next(struct sm_balance_scratch *scratch)
{
	__u32 at = scratch->at, next, middle, x;

	if (at >= SM_MT_WORDS)
		at = 0;
	next = at + 1 < SM_MT_WORDS ? at + 1 : 0;
	middle = at + SM_MT_MIDDLE;
	if (middle >= SM_MT_WORDS)
		middle -= SM_MT_WORDS;
	if (next >= SM_MT_WORDS || middle >= SM_MT_WORDS)
		return 0;
	x = (scratch->twister[at] & 0x80000000U) | (scratch->twister[next] & 0x7fffffffU);
	x = scratch->twister[middle] ^ (x >> 1) ^ (x & 1 ? 0x9908b0dfU : 0);
	scratch->twister[at] = x;
	scratch->at = next;
	x ^= x >> 11;
	x ^= (x << 7) & 0x9d2c5680U;
	x ^= (x << 15) & 0xefc60000U;
	return x ^ (x >> 18);
}

/* Uniform in [0, k): Envoy's own way to it. A global function: its loop is verified once. */
__noinline __u32 sm_twister_below(struct sm_balance_scratch *scratch, __u32 k)
{
	__u64 step, x = k;

	if (!scratch || !k)
		return 0;
	step = (1ULL << 32) / k;
	for (int i = 0; i < SM_BALANCE_REDRAWS && x >= k; i++)
		x = sm_twister_next(scratch) / step;
	return x < k ? (__u32)x : 0;
}

static __always_inline __u32 sm_bit_length(__u64 x)
{
	__u32 length = 0;

#pragma unroll
	for (int shift = 32; shift; shift >>= 1) {
		if (x >> shift) {
			x >>= shift;
			length += shift;
		}
	}
	return length + (x ? 1 : 0);
}

/*
 * max(1, ceil(total * weight)) as doubles have it, for a double 0 < weight <= 1 given by its bits:
 * the product is rounded to 53 bits, ties to even, before the ceiling is taken. That shows: 100 *
 * 0.28 is a little more than 28.
 */
__noinline __u32 sm_balance_slots(__u32 total, __u64 weight)
{
	__u64 mantissa = (weight & ((1ULL << 52) - 1)) | 1ULL << 52;
	__u32 exponent = (__u32)(weight >> 52) & 0x7ff;
	__u64 low, high, product, rest;
	__u32 shift, drop;

	if (exponent < 1023 - 40 || exponent > 1023 || !total)
		return 1; /* below 2^-40 of at most 2^32, or no weight at all */
	/* weight is mantissa * 2^-shift; total * mantissa is high * 2^32 + low, high >= 2^20. */
	shift = 1075 - exponent;
	low = (__u64)total * (mantissa & 0xffffffff);
	high = (__u64)total * (mantissa >> 32) + (low >> 32);
	low &= 0xffffffff;
	/* Down to 53 bits. */
	drop = sm_bit_length(high) - 21;
	if (drop > 32)
		return 1;
	product = (high << (32 - drop)) | (low >> drop);
	rest = low & ((1ULL << drop) - 1);
	if (drop && (rest > 1ULL << (drop - 1) || (rest == 1ULL << (drop - 1) && (product & 1))))
		product++;
	shift -= drop;
	if (shift > 53)
		return 1;
	product = (product + (1ULL << shift) - 1) >> shift;
	return product ? (__u32)product : 1;
}

/* The bits of host's weight: behind the policy's own table, two a cell. */
static __always_inline __u64 sm_balance_weight(const struct sm_group *group, __u32 host)
{
	__u32 first = group->table_cell;
	union sm_cell *cell;

	if (group->policy == SM_POLICY_MAGLEV)
		first += (group->table_size + 3) >> 2;
	else
		first += (1U << (62 - (group->ring_shift & 63))) + group->table_size;
	cell = cells_at(first + (host >> 1));
	return cell ? cell->weight_bits[host & 1] : 0;
}

struct sm_balance_probe {
	const struct sm_group *group;
	struct sm_balance_scratch *scratch;
	__u64 now_ns;
	__u32 total;
	__u32 first; /* the hash's own host */
	__u32 host;  /* the best so far */
	__u32 active;
	__u32 slots;
	__u32 done;
};

/* Whether `host` has room, or is at least less overloaded than the best so far. An ejected one is
 * as good as gone, but in panic. */
static __always_inline void sm_balance_try(struct sm_balance_probe *probe, __u32 host)
{
	struct sm_endpoint_state *state = endpoint_state_at(sm_host(probe->group, host));
	__u32 active, slots;

	if (!state)
		return;
	if (!(probe->group->flags & SM_GROUP_PANIC) &&
	    READ_ONCE(state->ejected_until_ns) > probe->now_ns)
		return;
	active = READ_ONCE(state->active);
	slots = sm_balance_slots(probe->total, sm_balance_weight(probe->group, host));
	if (active <= slots) {
		probe->host = host;
		probe->done = 1;
	} else if ((__u64)active * probe->slots < (__u64)probe->active * slots) {
		probe->host = host;
		probe->active = active;
		probe->slots = slots;
	}
}

static long sm_balance_in_order(__u64 i, struct sm_balance_scratch **scratch)
{
	if (i < SM_BALANCE_HOSTS)
		(*scratch)->order[i] = (__u16)i;
	return 0;
}

static long sm_balance_next(__u64 i, struct sm_balance_probe *probe)
{
	struct sm_balance_scratch *scratch = probe->scratch;
	__u32 count = probe->group->host_count, host;
	__u64 other;

	if (i >= count)
		return 1;
	if (count > SM_BALANCE_HOSTS) {
		host = sm_twister_below(scratch, count);
	} else {
		other = i + sm_twister_below(scratch, count - (__u32)i);
		if (i >= SM_BALANCE_HOSTS || other >= SM_BALANCE_HOSTS)
			return 1;
		host = scratch->order[other];
		scratch->order[other] = scratch->order[i];
		scratch->order[i] = (__u16)host;
	}
	if (host != probe->first)
		sm_balance_try(probe, host);
	return probe->done ? 1 : 0;
}

/* The slot of a scratch that nobody else uses now; SM_BROKEN: there is none. */
__noinline __u32 sm_balance_claim(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	for (__u32 i = 0; i < SM_BALANCE_SCRATCH; i++) {
		__u32 slot = (cpu + i) & (SM_BALANCE_SCRATCH - 1);
		struct sm_balance_scratch *scratch = bpf_map_lookup_elem(&balance_scratch, &slot);

		if (scratch && !__sync_val_compare_and_swap(&scratch->busy, 0, 1))
			return slot;
	}
	return SM_BROKEN;
}

/* With all of them taken (by as many tasks, in the midst of theirs) the hash's own host stays. */
static __always_inline void sm_balance_shuffle(struct sm_balance_probe *probe, __u64 hash)
{
	__u32 count = probe->group->host_count, slot = sm_balance_claim();
	struct sm_balance_scratch *scratch = bpf_map_lookup_elem(&balance_scratch, &slot);

	if (!scratch)
		return;
	probe->scratch = scratch;
	sm_twister_seed(scratch, (__u32)hash);
	if (count > SM_BALANCE_HOSTS)
		count = SM_BALANCE_HOSTS;
	bpf_loop(count, sm_balance_in_order, &scratch, 0);
	bpf_loop(count, sm_balance_next, probe, 0);
	__sync_lock_test_and_set(&scratch->busy, 0);
}

/* The host for a hash whose own is `host`. A global function: verified once, and out of the way of
 * those who never come here. */
__noinline __u32 sm_balance(const struct sm_group *group, __u64 hash, __u32 host)
{
	struct sm_balance_probe probe = {.first = host, .host = host};
	struct sm_cluster_state *cluster;
	struct sm_endpoint_state *state;
	__u64 total;

	if (!group)
		return host;
	cluster = cluster_state_at(group->cluster_id);
	state = endpoint_state_at(sm_host(group, host));
	if (!cluster || !state)
		return host;
	total = ((__u64)READ_ONCE(cluster->active) + 1) * group->balance_percent;
	total = (total + 99) / 100;
	probe.total = total > 0xffffffff ? 0xffffffff : (__u32)total;
	probe.active = READ_ONCE(state->active);
	probe.slots = sm_balance_slots(probe.total, sm_balance_weight(group, host));
	if (probe.active <= probe.slots)
		return host;
	probe.group = group;
	probe.now_ns = bpf_ktime_get_ns();
	sm_balance_shuffle(&probe, hash);
	return probe.host;
}

#endif /* SOCKMESH_BALANCE_H */
