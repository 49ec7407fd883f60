/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RING_HASH: ring cells sorted by hash, behind a table of where a walk begins. */
#ifndef SOCKMESH_RING_HASH_H
#define SOCKMESH_RING_HASH_H

#include "policy/tables.h"

/* The first ring cell, behind the segments' words. */
static __always_inline __u32 sm_ring_cells(const struct sm_group *group)
{
	return group->table_cell + (1U << (62 - (group->ring_shift & 63)));
}

/* The ring cell of `hash`: an index below table_size; see SM_RING_MAX_WALK. */
SM_VERIFIED_ONCE __u32 sm_ring_entry(const struct sm_group *group, __u64 hash)
{
	__u32 size, ring, entry;

	if (!group)
		return SM_BROKEN;
	size = group->table_size;
	ring = sm_ring_cells(group);
	entry = sm_word(group->table_cell, (__u32)(hash >> (group->ring_shift & 63)));
	if (!size || entry == SM_BROKEN)
		return SM_BROKEN;
	for (int i = 0; i < SM_RING_MAX_WALK && entry < size; i++, entry++) {
		union sm_cell *cell = cells_at(ring + entry);

		if (!cell)
			return SM_BROKEN;
		if (cell->ring.hash >= hash)
			return entry;
	}
	return 0;
}

static __always_inline __u32 sm_ring_host(const struct sm_group *group, __u32 entry)
{
	union sm_cell *cell = cells_at(sm_ring_cells(group) + entry);

	return cell ? cell->ring.host : SM_BROKEN;
}

static __always_inline __u32 sm_ring_hash_pick(const struct sm_group *group, __u64 hash)
{
	__u32 entry = sm_ring_entry(group, hash);

	return entry == SM_BROKEN ? SM_BROKEN : sm_ring_host(group, entry);
}

/* A client goes on along the ring. Past the cells of the ejected host it meets the very host that
 * Envoy's ring without that host has. */
static __always_inline __u32 sm_ring_hash_next(const struct sm_group *group, __u64 hash, __u32 step)
{
	__u32 entry = sm_ring_entry(group, hash);

	if (entry == SM_BROKEN || !group->table_size)
		return SM_BROKEN;
	return sm_ring_host(group, (entry + step) % group->table_size);
}

/* The first cell of the hosts' weights; see sm_group.balance_percent. */
static __always_inline __u32 sm_ring_hash_weights(const struct sm_group *group)
{
	return sm_ring_cells(group) + group->table_size;
}

#endif /* SOCKMESH_RING_HASH_H */
