/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BY_HASH: a table of words that names groups, not hosts. Under the hash policies the hash also
 * chooses the priority (Envoy: hash % 100).
 */
#ifndef SOCKMESH_BY_HASH_H
#define SOCKMESH_BY_HASH_H

#include "policy/tables.h"

/* The group, relative to the descriptor's first. */
static __always_inline __u32 sm_by_hash_pick(const struct sm_group *group, __u64 hash)
{
	__u32 size = group->table_size;

	return size ? sm_word(group->table_cell, (__u32)(hash % size)) : SM_BROKEN;
}

#endif /* SOCKMESH_BY_HASH_H */
