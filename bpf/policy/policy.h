/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The choice of a group, and of a host in it by the group's policy. */
#ifndef SOCKMESH_PICK_H
#define SOCKMESH_PICK_H

#include "policy/least_request.h"
#include "policy/tables.h"

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

/* The policies that take a walk. A global function: verified once, not once for every caller. */
__noinline __u32 sm_pick_host_walking(const struct sm_group *group, __u64 hash)
{
	__u32 entry;

	if (!group)
		return SM_BROKEN;
	if (group->policy == SM_POLICY_LEAST_REQUEST)
		return sm_least_request(group);
	if (group->policy != SM_POLICY_RING_HASH)
		return SM_BROKEN;
	entry = sm_ring_entry(group, hash);
	return entry == SM_BROKEN ? SM_BROKEN : sm_ring_host(group, entry);
}

/* The host index that the group's policy chooses; `hash` matters to the hash policies. */
static __always_inline __u32 sm_pick_host(struct sm_group *group, __u64 hash)
{
	__u32 size = group->table_size;

	switch (group->policy) {
	case SM_POLICY_LEAST_REQUEST:
		if (group->flags & SM_GROUP_WEIGHTED)
			return sm_lr_weighted(group);
		return sm_pick_host_walking(group, hash);
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
	default:
		return sm_pick_host_walking(group, hash);
	}
}

#endif /* SOCKMESH_PICK_H */
