/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Frontend lookup and endpoint selection. Knows no hook: sock_addr.bpf.c and the tests' programs
 * call it with keys and hashes.
 *
 *   frontends[key] -> service id -> heads[id] -> descriptor -> group -> cell -> host -> endpoint
 *
 * One hash lookup, then array reads. The caller runs under RCU (every cgroup program does): ids
 * that it reads here are not reused before it has returned.
 */
#ifndef SOCKMESH_LB_H
#define SOCKMESH_LB_H

#include "least_request.h"
#include "tables.h"

/* How often a lookup that met a recycled hash element starts over. */
#define SM_LOOKUP_TRIES 4

/* ---- frontends ---- */

static __always_inline struct sm_descriptor *sm_descriptor_of(const __u32 *value)
{
	__u32 service_id = READ_ONCE(*value);
	__u32 *head = bpf_map_lookup_elem(&heads, &service_id);

	return head ? descriptors_at(READ_ONCE(*head)) : NULL;
}

/*
 * The service of an IPv4 VIP, or NULL. A hash lookup hands out a pointer into an element that may
 * be recycled for another key before it is read; the descriptor repeats its key, so that shows.
 */
static __always_inline struct sm_descriptor *sm_lookup4(const struct sm_frontend4_key *key)
{
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		__u32 *value = bpf_map_lookup_elem(&frontends4, key);
		struct sm_descriptor *d;

		if (!value)
			return NULL;
		d = sm_descriptor_of(value);
		if (!d) {
			sm_count(SM_COUNTER_TABLE_BROKEN);
			return NULL;
		}
		if (d->addr_be[3] == key->addr_be && d->port_be == key->port_be &&
		    d->protocol == key->protocol && d->family == SM_FAMILY_V4)
			return d;
		sm_count(SM_COUNTER_LOOKUP_RETRY);
	}
	sm_count(SM_COUNTER_LOOKUP_EXHAUSTED);
	return NULL;
}

static __always_inline struct sm_descriptor *sm_lookup6(const struct sm_frontend6_key *key)
{
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		__u32 *value = bpf_map_lookup_elem(&frontends6, key);
		struct sm_descriptor *d;

		if (!value)
			return NULL;
		d = sm_descriptor_of(value);
		if (!d) {
			sm_count(SM_COUNTER_TABLE_BROKEN);
			return NULL;
		}
		if (d->addr_be[0] == key->addr_be[0] && d->addr_be[1] == key->addr_be[1] &&
		    d->addr_be[2] == key->addr_be[2] && d->addr_be[3] == key->addr_be[3] &&
		    d->port_be == key->port_be && d->protocol == key->protocol &&
		    d->family == SM_FAMILY_V6)
			return d;
		sm_count(SM_COUNTER_LOOKUP_RETRY);
	}
	sm_count(SM_COUNTER_LOOKUP_EXHAUSTED);
	return NULL;
}

/* ---- selection ---- */

struct sm_choice {
	__u32 policy; /* SM_POLICY_LEAVE_ALONE, SM_POLICY_REFUSE, or the policy that chose */
	__u32 reason; /* enum sm_reason of the first two */
	__u32 cluster_id;
	__u32 endpoint_id;
	struct sm_endpoint *endpoint;
	struct sm_endpoint_state *state;
};

/* The group of a connection: traffic split, priority and locality, all in one draw. */
static __always_inline struct sm_group *sm_pick_group(const struct sm_descriptor *d, __u64 hash)
{
	__u32 index = 0, group_first = d->group_first;
	struct sm_group *group;

	if (d->pick_size > 1) {
		index = sm_alias(d->pick_cell, d->pick_size);
		if (index == SM_BROKEN)
			return NULL;
	}
	group = groups_at(group_first + index);
	if (!group || group->policy != SM_POLICY_BY_HASH)
		return group;
	/* The hash policies choose the priority by the hash, too (Envoy: hash % 100). */
	if (!group->table_size)
		return NULL;
	index = sm_word(group->table_cell, (__u32)(hash % group->table_size));
	return index == SM_BROKEN ? NULL : groups_at(group_first + index);
}

/* The host index that the group's policy chooses; `hash` matters to the hash policies. */
static __always_inline __u32 sm_pick_host(struct sm_group *group, __u64 hash)
{
	__u32 size = group->table_size;

	switch (group->policy) {
	case SM_POLICY_RANDOM:
		return sm_alias(group->table_cell, size);
	case SM_POLICY_ROUND_ROBIN:
		if (!size)
			return SM_BROKEN;
		return sm_word(group->table_cell,
			       (__u32)(__sync_fetch_and_add(&group->cursor, 1) % size));
	case SM_POLICY_MAGLEV:
		if (!size)
			return SM_BROKEN;
		return sm_word(group->table_cell, (__u32)(hash % size));
	case SM_POLICY_LEAST_REQUEST:
		return sm_least_request(group);
	case SM_POLICY_RING_HASH: {
		__u32 entry = sm_ring_entry(group, hash);

		return entry == SM_BROKEN ? SM_BROKEN : sm_ring_host(group, entry);
	}
	default:
		return SM_BROKEN;
	}
}

/* Fills `choice`; a table that leads nowhere leaves the connection alone, and is counted. */
static __always_inline void sm_select(const struct sm_descriptor *d, __u64 hash,
				      struct sm_choice *choice)
{
	struct sm_group *group = sm_pick_group(d, hash);

	if (!group)
		goto broken;
	choice->policy = group->policy;
	choice->cluster_id = group->cluster_id;
	choice->reason = group->reason;
	if (group->policy <= SM_POLICY_REFUSE)
		return;
	choice->endpoint_id = sm_host(group, sm_pick_host(group, hash));
	if (!choice->endpoint_id)
		goto broken;
	choice->endpoint = endpoints_at(choice->endpoint_id);
	choice->state = endpoint_state_at(choice->endpoint_id);
	if (choice->endpoint && choice->state)
		return;
broken:
	sm_count(SM_COUNTER_TABLE_BROKEN);
	choice->policy = SM_POLICY_LEAVE_ALONE;
}

#endif /* SOCKMESH_LB_H */
