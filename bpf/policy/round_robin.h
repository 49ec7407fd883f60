/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ROUND_ROBIN: a schedule of words, which all CPUs walk by one cursor. */
#ifndef SOCKMESH_ROUND_ROBIN_H
#define SOCKMESH_ROUND_ROBIN_H

#include "policy/tables.h"

static __always_inline __u32 sm_round_robin_pick(struct sm_group *group)
{
	__u32 size = group->table_size;

	if (!size)
		return SM_BROKEN;
	return sm_word(group->table_cell, (__u32)(__sync_fetch_and_add(&group->cursor, 1) % size));
}

static __always_inline __u32 sm_round_robin_next(struct sm_group *group)
{
	return sm_round_robin_pick(group);
}

#endif /* SOCKMESH_ROUND_ROBIN_H */
