/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The choice of an endpoint. Knows no hook: the hooks and the tests' programs call it with a
 * descriptor and a hash.
 *
 *   descriptor -> group -> cell -> host -> endpoint
 *
 * Most services have one group with RANDOM or ROUND_ROBIN. sm_select_plain() is the few reads that
 * these need, and is inlined into the hooks. sm_select() knows everything.
 */
#ifndef SOCKMESH_CHOICE_H
#define SOCKMESH_CHOICE_H

#include "policy/bounded_load.h"
#include "policy/by_hash.h"
#include "select/reselect.h"

struct sm_choice {
	__u32 cluster_id;
	__u32 endpoint_id; /* SM_NONE: the socket goes to no endpoint */
	__u8 policy;	   /* SM_POLICY_LEAVE_ALONE, SM_POLICY_REFUSE, or the policy that chose */
	__u8 reason;	   /* enum sm_reason of the first two */
	__u8 conn_flags;   /* SM_CONN_* */
	__u8 pad;
};

/* What an endpoint's id leads to. */
struct sm_target {
	struct sm_endpoint *endpoint;
	struct sm_endpoint_state *state;
};

/* 0: the id leads nowhere. */
static __always_inline int sm_target_of(__u32 endpoint_id, struct sm_target *target)
{
	if (unlikely(!endpoint_id))
		return 0;
	target->endpoint = endpoints_at(endpoint_id);
	target->state = endpoint_state_at(endpoint_id);
	return target->endpoint && target->state;
}

/* Chooses an endpoint of `group`. */
static __always_inline void sm_choice_set(struct sm_choice *choice, const struct sm_group *group,
					  __u32 endpoint_id)
{
	choice->policy = (__u8)group->policy;
	choice->reason = SM_REASON_NONE;
	choice->cluster_id = group->cluster_id;
	choice->endpoint_id = endpoint_id;
	choice->conn_flags = unlikely(group->balance_percent) ? SM_CONN_IN_CLUSTER : 0;
}

/* Chooses no endpoint. `verdict`: SM_POLICY_LEAVE_ALONE or SM_POLICY_REFUSE. */
static __always_inline void sm_choice_set_none(struct sm_choice *choice, __u32 cluster_id,
					       __u32 verdict, __u32 reason)
{
	choice->policy = (__u8)verdict;
	choice->reason = (__u8)reason;
	choice->cluster_id = cluster_id;
	choice->endpoint_id = SM_NONE;
	choice->conn_flags = 0;
}

/* The tables lead nowhere. The connection is left alone, and counted. */
static __always_inline void sm_choice_set_broken(struct sm_choice *choice, __u32 cluster_id)
{
	sm_count(SM_COUNTER_TABLE_BROKEN);
	sm_choice_set_none(choice, cluster_id, SM_POLICY_LEAVE_ALONE, SM_REASON_NONE);
}

/* The hash of a connection: its client's, or a random one, which is drawn when it is needed. */
struct sm_hash {
	__u64 value;
	int of_client; /* 0: random */
	int is_set;
};

static __always_inline __u64 sm_hash_value(struct sm_hash *hash)
{
	if (!hash->is_set) {
		hash->value = sm_draw64();
		hash->is_set = 1;
	}
	return hash->value;
}

/* The group of a connection. One draw covers traffic split, priority and locality. */
static __always_inline struct sm_group *sm_pick_group(const struct sm_descriptor *d,
						      struct sm_hash *hash)
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
	index = sm_by_hash_pick(group, sm_hash_value(hash));
	return index == SM_BROKEN ? NULL : groups_at(group_first + index);
}

/* `endpoint_id` was chosen of `group`. If it is ejected, for all or for the caller alone: another
 * endpoint of the same service. If none is left, the first choice stands (as in panic); SM_NONE if
 * panic is disabled. */
SM_VERIFIED_ONCE __u32 sm_select_after_ejection(const struct sm_descriptor *d,
						struct sm_group *group, __u64 hash,
						__u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_cluster_stats *stats;
	__u32 id, client;

	if (!d || !group || !state || (group->flags & SM_GROUP_PANIC))
		return endpoint_id;
	client = sm_client_of_caller();
	if (!sm_is_ejected(endpoint_id, client, bpf_ktime_get_ns()))
		return endpoint_id;
	id = sm_reselect(d, group, hash, client);
	if (!id)
		return group->flags & SM_GROUP_NO_PANIC ? SM_NONE : endpoint_id;
	stats = sm_cluster_stats(group->cluster_id);
	if (stats)
		SM_ADD(stats->reselected, 1);
	return id;
}

/* The same, into `choice` and `target`. */
static __always_inline void sm_choice_avoid_ejected(const struct sm_descriptor *d,
						    struct sm_group *group, __u64 hash,
						    struct sm_choice *choice,
						    struct sm_target *target)
{
	__u32 id = sm_select_after_ejection(d, group, hash, choice->endpoint_id);

	choice->endpoint_id = id;
	if (!id)
		sm_choice_set_none(choice, group->cluster_id, SM_POLICY_REFUSE,
				   SM_REASON_NO_HEALTHY);
	else if (!sm_target_of(id, target))
		sm_choice_set_broken(choice, group->cluster_id);
}

/* Asks the group's policy. SM_BROKEN: a table leads nowhere. */
static __always_inline __u32 sm_pick_host(struct sm_group *group, struct sm_hash *hash)
{
	__u64 value = sm_policy_hashes(group->policy) ? sm_hash_value(hash) : 0;
	__u32 host = sm_policy_pick(group, value);

	if (unlikely(group->balance_percent))
		host = sm_balance(group, value, host, !hash->of_client);
	return host;
}

/*
 * Fills `choice`. `client_hash` counts if `has_hash`; else what needs a hash takes a random one. If
 * a table leads nowhere, the connection is left alone, and counted.
 */
static __always_inline void sm_select(const struct sm_descriptor *d, __u64 client_hash,
				      int has_hash, struct sm_choice *choice)
{
	struct sm_hash hash = {client_hash, has_hash, has_hash};
	struct sm_group *group = sm_pick_group(d, &hash);
	struct sm_target target;

	if (unlikely(!group)) {
		sm_choice_set_broken(choice, SM_NONE);
		return;
	}
	if (unlikely(group->policy <= SM_POLICY_REFUSE)) {
		sm_choice_set_none(choice, group->cluster_id, group->policy, group->reason);
		return;
	}
	sm_choice_set(choice, group, sm_host(group, sm_pick_host(group, &hash)));
	if (unlikely(!sm_target_of(choice->endpoint_id, &target))) {
		sm_choice_set_broken(choice, group->cluster_id);
		return;
	}
	if (unlikely(sm_may_be_ejected(target.state)))
		sm_choice_avoid_ejected(d, group, sm_hash_value(&hash), choice, &target);
}

/* Whether any client of this service is treated alike, and one group has all of its hosts. */
static __always_inline int sm_is_plain(const struct sm_descriptor *d)
{
	return !((d->flags & SM_DESCRIPTOR_HASH_SOURCE) | d->affinity_s | (d->pick_size ^ 1));
}

/*
 * sm_select() for a plain service with RANDOM or ROUND_ROBIN, and the target of the choice. 0: the
 * service or its tables are of another kind, and nothing was chosen. A choice without an endpoint
 * leaves `target` as it is.
 */
static __always_inline int sm_select_plain(const struct sm_descriptor *d, struct sm_choice *choice,
					   struct sm_target *target)
{
	struct sm_group *group;
	__u32 host;

	if (unlikely(!sm_is_plain(d)))
		return 0;
	group = groups_at(d->group_first);
	if (unlikely(!group))
		return 0;
	if (group->policy == SM_POLICY_RANDOM)
		host = sm_random_pick(group);
	else if (group->policy == SM_POLICY_ROUND_ROBIN)
		host = sm_round_robin_pick(group);
	else
		return 0;
	sm_choice_set(choice, group, sm_host(group, host));
	if (unlikely(!sm_target_of(choice->endpoint_id, target))) {
		sm_choice_set_broken(choice, group->cluster_id);
		return 1;
	}
	if (unlikely(sm_may_be_ejected(target->state)))
		sm_choice_avoid_ejected(d, group, sm_draw(), choice, target);
	return 1;
}

#endif /* SOCKMESH_CHOICE_H */
