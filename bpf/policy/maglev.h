/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MAGLEV: a table of words, read at the hash modulo its size. */
#ifndef SOCKMESH_MAGLEV_H
#define SOCKMESH_MAGLEV_H

#include "policy/tables.h"

static __always_inline __u32 sm_maglev_pick(const struct sm_group *group, __u64 hash)
{
	__u32 size = group->table_size;

	return size ? sm_word(group->table_cell, (__u32)(hash % size)) : SM_BROKEN;
}

/* A client goes on along the table, so it moves to the same other host each time. */
static __always_inline __u32 sm_maglev_next(const struct sm_group *group, __u64 hash, __u32 step)
{
	return sm_maglev_pick(group, hash + step);
}

/* The first cell of the hosts' weights; see sm_group.balance_percent. */
static __always_inline __u32 sm_maglev_weights(const struct sm_group *group)
{
	return group->table_cell + ((group->table_size + 3) >> 2);
}

#endif /* SOCKMESH_MAGLEV_H */
