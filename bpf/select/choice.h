/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The choice of an endpoint. Knows no hook: the hooks and the tests' programs call it with a
 * descriptor and a hash.
 *
 *   descriptor -> group -> cell -> host -> endpoint
 */
#ifndef SOCKMESH_CHOICE_H
#define SOCKMESH_CHOICE_H

#include "policy/bounded_load.h"
#include "policy/by_hash.h"
#include "select/reselect.h"

struct sm_choice {
	__u32 policy; /* SM_POLICY_LEAVE_ALONE, SM_POLICY_REFUSE, or the policy that chose */
	__u32 reason; /* enum sm_reason of the first two */
	__u32 cluster_id;
	__u32 endpoint_id;
	__u32 conn_flags; /* SM_CONN_* */
	struct sm_endpoint *endpoint;
	struct sm_endpoint_state *state;
};

/* Chooses an endpoint of `group`. 0, and the choice stays as it was: the id leads nowhere. */
static __always_inline int sm_choice_set(struct sm_choice *choice, const struct sm_group *group,
					 __u32 endpoint_id)
{
	struct sm_endpoint *endpoint = endpoint_id ? endpoints_at(endpoint_id) : NULL;
	struct sm_endpoint_state *state = endpoint_id ? endpoint_state_at(endpoint_id) : NULL;

	if (unlikely(!endpoint || !state))
		return 0;
	choice->policy = group->policy;
	choice->reason = SM_REASON_NONE;
	choice->cluster_id = group->cluster_id;
	choice->endpoint_id = endpoint_id;
	choice->conn_flags = unlikely(group->balance_percent) ? SM_CONN_IN_CLUSTER : 0;
	choice->endpoint = endpoint;
	choice->state = state;
	return 1;
}

/* Chooses no endpoint. `verdict`: SM_POLICY_LEAVE_ALONE or SM_POLICY_REFUSE. */
static __always_inline void sm_choice_set_none(struct sm_choice *choice, __u32 cluster_id,
					       __u32 verdict, __u32 reason)
{
	choice->policy = verdict;
	choice->reason = reason;
	choice->cluster_id = cluster_id;
	choice->endpoint = NULL;
}

/* The tables lead nowhere. The connection is left alone, and counted. */
static __always_inline void sm_choice_set_broken(struct sm_choice *choice, __u32 cluster_id)
{
	sm_count(SM_COUNTER_TABLE_BROKEN);
	sm_choice_set_none(choice, cluster_id, SM_POLICY_LEAVE_ALONE, SM_REASON_NONE);
}

/* The group of a connection. One draw covers traffic split, priority and locality. */
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
	index = sm_by_hash_pick(group, hash);
	return index == SM_BROKEN ? NULL : groups_at(group_first + index);
}

/* The first choice is ejected: takes another endpoint of the same service. If none is left,
 * keeps the first choice (as panic does), or refuses if panic is disabled. */
static __always_inline void sm_select_after_ejection(const struct sm_descriptor *d,
						     struct sm_group *group, __u64 hash,
						     struct sm_choice *choice)
{
	struct sm_cluster_stats *stats;
	__u32 id;

	if (READ_ONCE(choice->state->ejected_until_ns) <= bpf_ktime_get_ns())
		return;
	id = sm_reselect(d, group, hash);
	if (!id) {
		if (group->flags & SM_GROUP_NO_PANIC)
			sm_choice_set_none(choice, group->cluster_id, SM_POLICY_REFUSE,
					   SM_REASON_NO_HEALTHY);
		return;
	}
	if (!sm_choice_set(choice, group, id))
		return;
	stats = sm_cluster_stats(choice->cluster_id);
	if (stats)
		SM_ADD(stats->reselected, 1);
}

/* Fills `choice`. If a table leads nowhere, the connection is left alone, and counted. */
static __always_inline void sm_select(const struct sm_descriptor *d, __u64 hash,
				      struct sm_choice *choice)
{
	struct sm_group *group = sm_pick_group(d, hash);
	__u32 host;

	if (unlikely(!group)) {
		sm_choice_set_broken(choice, SM_NONE);
		return;
	}
	if (unlikely(group->policy <= SM_POLICY_REFUSE)) {
		sm_choice_set_none(choice, group->cluster_id, group->policy, group->reason);
		return;
	}
	host = sm_policy_pick(group, hash);
	if (unlikely(group->balance_percent))
		host = sm_balance(group, hash, host);
	if (unlikely(!sm_choice_set(choice, group, sm_host(group, host)))) {
		sm_choice_set_broken(choice, group->cluster_id);
		return;
	}
	if (unlikely(READ_ONCE(choice->state->ejected_until_ns)) &&
	    !(group->flags & SM_GROUP_PANIC))
		sm_select_after_ejection(d, group, hash, choice);
}

#endif /* SOCKMESH_CHOICE_H */
