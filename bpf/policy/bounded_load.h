/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounded load for the hash policies (hash_balance_factor), step by step as in Envoy. A host may
 * have max(1, ceil(weight * total)) connections, where total is (the cluster's + 1) * factor, and
 * weight is a double. If the host of a hash has more, the connection goes to the first host with
 * room, in an order that a Mersenne twister shuffles with the hash as its seed. If no host has
 * room, it goes to the least overloaded host.
 *
 * A twister costs microseconds. So the first hosts of an order are kept, because a client has one
 * hash for all its connections. And a random hash needs no twister: the first host with room of a
 * random order is any host with room.
 *
 * Only groups with balance_percent come here. Only their clusters count sm_cluster_state.active.
 */
#ifndef SOCKMESH_BOUNDED_LOAD_H
#define SOCKMESH_BOUNDED_LOAD_H

#include "envoy/double.h"
#include "envoy/mersenne_twister.h"
#include "policy/policy.h"

/* The bits of a host's weight. The weights stand behind the policy's table, two a cell. */
static __always_inline __u64 sm_balance_weight(const struct sm_group *group, __u32 host)
{
	__u32 first = sm_policy_weights(group);
	union sm_cell *cell = first == SM_BROKEN ? NULL : cells_at(first + (host >> 1));

	return cell ? cell->weight_bits[host & 1] : 0;
}

struct sm_balance_probe {
	const struct sm_group *group;
	struct sm_balance_scratch *scratch;
	const struct sm_balance_order *order; /* NULL: hosts are drawn at random */
	__u64 now_ns;
	__u32 total;
	__u32 first; /* the hash's own host */
	__u32 host;  /* the best so far */
	__u32 active;
	__u32 slots;
	__u32 done;
};

/* Takes `host` if it has room, or if it is less overloaded than the best so far. An ejected host
 * is treated as absent, except in panic. */
static __always_inline void sm_balance_try(struct sm_balance_probe *probe, __u32 host)
{
	struct sm_endpoint_state *state = endpoint_state_at(sm_host(probe->group, host));
	__u32 active, slots;

	if (!state)
		return;
	if (!(probe->group->flags & SM_GROUP_PANIC) &&
	    READ_ONCE(state->ejected_until_ns) > probe->now_ns)
		return;
	active = sm_load_of_state(state);
	slots = sm_double_ceil_product(probe->total, sm_balance_weight(probe->group, host));
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

/* The i-th host of the shuffle that `scratch` is at; SM_BROKEN: there is none. */
static __always_inline __u32 sm_balance_shuffled(struct sm_balance_scratch *scratch, __u64 i,
						 __u32 count)
{
	__u64 other;
	__u16 host;

	if (count > SM_BALANCE_HOSTS)
		return sm_twister_below(&scratch->twister, count);
	other = i + sm_twister_below(&scratch->twister, count - (__u32)i);
	if (i >= SM_BALANCE_HOSTS || other >= SM_BALANCE_HOSTS)
		return SM_BROKEN;
	host = scratch->order[other];
	scratch->order[other] = scratch->order[i];
	scratch->order[i] = host;
	return host;
}

static long sm_balance_next(__u64 i, struct sm_balance_probe *probe)
{
	__u32 count = probe->group->host_count, host;

	if (i >= count)
		return 1;
	host = sm_balance_shuffled(probe->scratch, i, count);
	if (host == SM_BROKEN)
		return 1;
	if (host != probe->first)
		sm_balance_try(probe, host);
	return probe->done ? 1 : 0;
}

/* The slot of a scratch that is free; SM_BROKEN: all are in use. */
SM_VERIFIED_ONCE __u32 sm_balance_claim(void)
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

/* A shuffle of `count` hosts that has not begun. NULL: all scratches are in use by other tasks. The
 * caller sets `busy` back. */
static __always_inline struct sm_balance_scratch *sm_balance_begin(__u32 seed, __u32 count)
{
	__u32 slot = sm_balance_claim();
	struct sm_balance_scratch *scratch = bpf_map_lookup_elem(&balance_scratch, &slot);

	if (!scratch)
		return NULL;
	sm_twister_seed(&scratch->twister, seed);
	bpf_loop(count < SM_BALANCE_HOSTS ? count : SM_BALANCE_HOSTS, sm_balance_in_order, &scratch,
		 0);
	return scratch;
}

/* Tries all hosts, in the order of `seed`. If all scratches are in use, the best so far stays. */
static __always_inline void sm_balance_shuffle(struct sm_balance_probe *probe, __u32 seed)
{
	__u32 count = probe->group->host_count;
	struct sm_balance_scratch *scratch = sm_balance_begin(seed, count);

	if (!scratch)
		return;
	probe->scratch = scratch;
	bpf_loop(count < SM_BALANCE_HOSTS ? count : SM_BALANCE_HOSTS, sm_balance_next, probe, 0);
	__sync_lock_test_and_set(&scratch->busy, 0);
}

static __always_inline __u64 sm_balance_order_of(__u32 seed, __u32 count)
{
	return (__u64)count << 32 | seed;
}

struct sm_balance_keeping {
	struct sm_balance_scratch *scratch;
	struct sm_balance_order *order;
	__u32 count;
	__u32 pad;
};

static long sm_balance_keep_next(__u64 i, struct sm_balance_keeping *keeping)
{
	if (i >= SM_BALANCE_KEPT || i >= keeping->count)
		return 1;
	keeping->order->host[i] = sm_balance_shuffled(keeping->scratch, i, keeping->count);
	return 0;
}

/* Keeps the order of `seed`, if nobody else is writing there. */
SM_VERIFIED_ONCE int sm_balance_keep(__u32 seed, __u32 count)
{
	__u32 at = seed & (SM_BALANCE_ORDERS - 1);
	struct sm_balance_keeping keeping = {
		.order = bpf_map_lookup_elem(&balance_orders, &at),
		.count = count,
	};
	__u64 of;

	if (!keeping.order)
		return 0;
	of = READ_ONCE(keeping.order->of);
	if (of == SM_BALANCE_BUSY)
		return 0;
	keeping.scratch = sm_balance_begin(seed, count);
	if (!keeping.scratch)
		return 0;
	if (__sync_val_compare_and_swap(&keeping.order->of, of, SM_BALANCE_BUSY) == of) {
		bpf_loop(SM_BALANCE_KEPT, sm_balance_keep_next, &keeping, 0);
		__sync_lock_test_and_set(&keeping.order->of, sm_balance_order_of(seed, count));
	}
	__sync_lock_test_and_set(&keeping.scratch->busy, 0);
	return 0;
}

/* The i-th host of a kept order, or a random one. If another task changes the order at this very
 * moment, the host is of another order, and as good as any. */
static long sm_balance_next_kept(__u64 i, struct sm_balance_probe *probe)
{
	__u32 count = probe->group->host_count, host;

	if (i >= SM_BALANCE_KEPT || (probe->order && i >= count))
		return 1;
	host = probe->order ? probe->order->host[i] : sm_uniform(count);
	if (host != probe->first && host < count)
		sm_balance_try(probe, host);
	return probe->done ? 1 : 0;
}

/* The order of `seed`; NULL: it is not kept. */
static __always_inline const struct sm_balance_order *sm_balance_kept(__u32 seed, __u32 count)
{
	__u32 at = seed & (SM_BALANCE_ORDERS - 1);
	struct sm_balance_order *order = bpf_map_lookup_elem(&balance_orders, &at);

	return order && READ_ONCE(order->of) == sm_balance_order_of(seed, count) ? order : NULL;
}

/* Another host, because that of the hash has no room. */
static __always_inline void sm_balance_walk(struct sm_balance_probe *probe, __u32 seed, int random)
{
	if (random || probe->order)
		bpf_loop(SM_BALANCE_KEPT, sm_balance_next_kept, probe, 0);
	if (!probe->done && (!probe->order || probe->group->host_count > SM_BALANCE_KEPT))
		sm_balance_shuffle(probe, seed);
}

/* How sm_balance() is to find another host. */
enum sm_balance_way {
	SM_BALANCE_RANDOM,    /* the hash is random, not of a client */
	SM_BALANCE_KEPT_ONLY, /* by the order that is kept */
	SM_BALANCE_ANY,
};

/* No host: the order is to be kept first. */
#define SM_BALANCE_KEEP ((__u32)-2)

/* The host for a hash whose own is `host`, or SM_BALANCE_KEEP. `way`: enum sm_balance_way. */
SM_VERIFIED_ONCE __u32 sm_balance_by(const struct sm_group *group, __u64 hash, __u32 host,
				     __u32 way)
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
	probe.active = sm_load_of_state(state);
	probe.slots = sm_double_ceil_product(probe.total, sm_balance_weight(group, host));
	if (probe.active <= probe.slots)
		return host;
	probe.group = group;
	probe.now_ns = bpf_ktime_get_ns();
	if (way != SM_BALANCE_RANDOM)
		probe.order = sm_balance_kept((__u32)hash, group->host_count);
	if (way == SM_BALANCE_KEPT_ONLY && !probe.order)
		return SM_BALANCE_KEEP;
	sm_balance_walk(&probe, (__u32)hash, way == SM_BALANCE_RANDOM);
	return probe.host;
}

/* The host for a hash whose own is `host`. `random`: the hash is random, not of a client. */
static __always_inline __u32 sm_balance(const struct sm_group *group, __u64 hash, __u32 host,
					int random)
{
	__u32 other =
		sm_balance_by(group, hash, host, random ? SM_BALANCE_RANDOM : SM_BALANCE_KEPT_ONLY);

	if (likely(other != SM_BALANCE_KEEP))
		return other;
	sm_balance_keep((__u32)hash, group->host_count);
	return sm_balance_by(group, hash, host, SM_BALANCE_ANY);
}

#endif /* SOCKMESH_BOUNDED_LOAD_H */
