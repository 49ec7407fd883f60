/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
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

#include "policy/bounded_load.h"
#include "select/reselect.h"

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
#pragma clang loop unroll(disable)
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		__u32 *value = bpf_map_lookup_elem(&frontends4, key);
		struct sm_descriptor *d;

		if (!value)
			return NULL;
		d = sm_descriptor_of(value);
		if (unlikely(!d)) {
			sm_count(SM_COUNTER_TABLE_BROKEN);
			return NULL;
		}
		if (likely(d->addr_be[3] == key->addr_be && d->port_be == key->port_be &&
			   d->protocol == key->protocol && d->family == SM_FAMILY_V4))
			return d;
		sm_count(SM_COUNTER_LOOKUP_RETRY);
	}
	sm_count(SM_COUNTER_LOOKUP_EXHAUSTED);
	return NULL;
}

static __always_inline struct sm_descriptor *sm_lookup6(const struct sm_frontend6_key *key)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		__u32 *value = bpf_map_lookup_elem(&frontends6, key);
		struct sm_descriptor *d;

		if (!value)
			return NULL;
		d = sm_descriptor_of(value);
		if (unlikely(!d)) {
			sm_count(SM_COUNTER_TABLE_BROKEN);
			return NULL;
		}
		if (likely(d->addr_be[0] == key->addr_be[0] && d->addr_be[1] == key->addr_be[1] &&
			   d->addr_be[2] == key->addr_be[2] && d->addr_be[3] == key->addr_be[3] &&
			   d->port_be == key->port_be && d->protocol == key->protocol &&
			   d->family == SM_FAMILY_V6))
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
	__u32 conn_flags; /* SM_CONN_* */
	struct sm_endpoint *endpoint;
	struct sm_endpoint_state *state;
};

/* The first choice is ejected: another of the same service, where there is one. Without any, the
 * first choice stands, as in panic, or the connection is refused where there is none. */
static __always_inline void sm_select_again(const struct sm_descriptor *d, struct sm_group *group,
					    __u64 hash, struct sm_choice *choice)
{
	struct sm_endpoint_state *state;
	struct sm_cluster_stats *stats;
	struct sm_endpoint *endpoint;
	__u32 id;

	if (READ_ONCE(choice->state->ejected_until_ns) <= bpf_ktime_get_ns())
		return;
	id = sm_reselect(d, group, hash);
	if (!id) {
		if (group->flags & SM_GROUP_NO_PANIC) {
			choice->policy = SM_POLICY_REFUSE;
			choice->reason = SM_REASON_NO_HEALTHY;
		}
		return;
	}
	endpoint = endpoints_at(id);
	state = endpoint_state_at(id);
	if (!endpoint || !state)
		return;
	choice->endpoint_id = id;
	choice->endpoint = endpoint;
	choice->state = state;
	stats = sm_cluster_stats(choice->cluster_id);
	if (stats)
		SM_ADD(stats->reselected, 1);
}

/* Fills `choice`; a table that leads nowhere leaves the connection alone, and is counted. */
static __always_inline void sm_select(const struct sm_descriptor *d, __u64 hash,
				      struct sm_choice *choice)
{
	struct sm_group *group = sm_pick_group(d, hash);
	__u32 host;

	if (unlikely(!group))
		goto broken;
	choice->policy = group->policy;
	choice->cluster_id = group->cluster_id;
	choice->reason = group->reason;
	if (unlikely(group->policy <= SM_POLICY_REFUSE))
		return;
	host = sm_pick_host(group, hash);
	if (unlikely(group->balance_percent)) {
		host = sm_balance(group, hash, host);
		choice->conn_flags = SM_CONN_IN_CLUSTER;
	}
	choice->endpoint_id = sm_host(group, host);
	if (unlikely(!choice->endpoint_id))
		goto broken;
	choice->endpoint = endpoints_at(choice->endpoint_id);
	choice->state = endpoint_state_at(choice->endpoint_id);
	if (unlikely(!choice->endpoint || !choice->state))
		goto broken;
	if (unlikely(READ_ONCE(choice->state->ejected_until_ns)) &&
	    !(group->flags & SM_GROUP_PANIC))
		sm_select_again(d, group, hash, choice);
	return;
broken:
	sm_count(SM_COUNTER_TABLE_BROKEN);
	choice->policy = SM_POLICY_LEAVE_ALONE;
}

#endif /* SOCKMESH_LB_H */
