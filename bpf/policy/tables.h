/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading the selection tables: words, alias draws, host vectors. */
#ifndef SOCKMESH_TABLES_H
#define SOCKMESH_TABLES_H

#include "policy/draw.h"

/* An index that leads nowhere, because a page is missing or a table is empty. */
#define SM_BROKEN ((__u32)-1)

/* Word `index` of a table of words that starts at `first_cell`; SM_BROKEN: there is no page. */
static __always_inline __u32 sm_word(__u32 first_cell, __u32 index)
{
	union sm_cell *cell = cells_at(first_cell + (index >> 2));

	return cell ? cell->words[index & 3] : SM_BROKEN;
}

/*
 * One draw from an alias table. The high half of the product is a uniform entry, the low half is
 * the fraction: one random number, one read, an error below size / 2^32.
 */
static __always_inline __u32 sm_alias(__u32 first_cell, __u32 size)
{
	__u64 product = (__u64)sm_draw() * size;
	union sm_cell *cell = cells_at(first_cell + (__u32)(product >> 32));

	if (!cell)
		return SM_BROKEN;
	return (__u32)product < cell->alias.threshold ? cell->alias.here : cell->alias.other;
}

/* The endpoint id of a host index; SM_NONE: the index leads nowhere. */
static __always_inline __u32 sm_host(const struct sm_group *group, __u32 host)
{
	__u32 id;

	if (host >= group->host_count)
		return SM_NONE;
	id = sm_word(group->host_cell, host);
	return id == SM_BROKEN ? SM_NONE : id;
}

/* The connections that load an endpoint: those that leave their client's namespace. */
static __always_inline __u32 sm_load_of_state(const struct sm_endpoint_state *state)
{
	__u32 active = READ_ONCE(state->active), inward = READ_ONCE(state->inward);

	return likely(!inward) || active < inward ? active : active - inward;
}

#endif /* SOCKMESH_TABLES_H */
