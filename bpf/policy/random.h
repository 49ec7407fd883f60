/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RANDOM: a draw from an alias table over the hosts. */
#ifndef SOCKMESH_RANDOM_H
#define SOCKMESH_RANDOM_H

#include "policy/tables.h"

static __always_inline __u32 sm_random_pick(const struct sm_group *group)
{
	return sm_alias(group->table_cell, group->table_size);
}

static __always_inline __u32 sm_random_next(const struct sm_group *group)
{
	return group->table_size ? sm_random_pick(group) : SM_BROKEN;
}

#endif /* SOCKMESH_RANDOM_H */
