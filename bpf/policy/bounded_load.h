/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounded load for the hash policies (hash_balance_factor), step by step as in Envoy. A host may
 * have max(1, ceil(weight * total)) connections, where total is (the cluster's + 1) * factor, and
 * weight is a double. If the host of a hash has more, the connection goes to the first host with
 * room, in an order that a Mersenne twister shuffles with the hash as its seed. If no host has
 * room, it goes to the least overloaded host.
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
	active = READ_ONCE(state->active);
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

static long sm_balance_next(__u64 i, struct sm_balance_probe *probe)
{
	struct sm_balance_scratch *scratch = probe->scratch;
	__u32 count = probe->group->host_count, host;
	__u64 other;

	if (i >= count)
		return 1;
	if (count > SM_BALANCE_HOSTS) {
		host = sm_twister_below(&scratch->twister, count);
	} else {
		other = i + sm_twister_below(&scratch->twister, count - (__u32)i);
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

/* If all scratches are in use by other tasks, the host of the hash stays. */
static __always_inline void sm_balance_shuffle(struct sm_balance_probe *probe, __u64 hash)
{
	__u32 count = probe->group->host_count, slot = sm_balance_claim();
	struct sm_balance_scratch *scratch = bpf_map_lookup_elem(&balance_scratch, &slot);

	if (!scratch)
		return;
	probe->scratch = scratch;
	sm_twister_seed(&scratch->twister, (__u32)hash);
	if (count > SM_BALANCE_HOSTS)
		count = SM_BALANCE_HOSTS;
	bpf_loop(count, sm_balance_in_order, &scratch, 0);
	bpf_loop(count, sm_balance_next, probe, 0);
	__sync_lock_test_and_set(&scratch->busy, 0);
}

/* The host for a hash whose own is `host`. */
SM_VERIFIED_ONCE __u32 sm_balance(const struct sm_group *group, __u64 hash, __u32 host)
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
	probe.slots = sm_double_ceil_product(probe.total, sm_balance_weight(group, host));
	if (probe.active <= probe.slots)
		return host;
	probe.group = group;
	probe.now_ns = bpf_ktime_get_ns();
	sm_balance_shuffle(&probe, hash);
	return probe.host;
}

#endif /* SOCKMESH_BOUNDED_LOAD_H */
