/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The choice after the first choice was found to be ejected. It is needed until the agent has
 * compiled tables without the endpoint, and while no agent runs.
 *
 * The policy is asked again. The hash policies go on along their table, so that a client moves to
 * the same other host each time. For a ring this is the very host that Envoy's ring without the
 * ejected host has. If this finds no host, all hosts of the group are looked at, and then the
 * groups beside it.
 */
#ifndef SOCKMESH_RESELECT_H
#define SOCKMESH_RESELECT_H

#include "conn/own.h"
#include "conn/stats.h"
#include "policy/policy.h"

#define SM_RESELECT_DRAWS  8
#define SM_RESELECT_SCAN   65536 /* hosts, at most */
#define SM_RESELECT_GROUPS 64

struct sm_rotation_scan {
	const struct sm_group *group;
	__u64 now_ns;
	__u32 start;
	__u32 found; /* endpoint id */
	__u32 client;
	__u32 pad;
};

static long sm_rotation_scan_one(__u64 i, struct sm_rotation_scan *scan)
{
	__u32 count = scan->group->host_count, id;

	if (!count)
		return 1;
	id = sm_host(scan->group, (__u32)((scan->start + i) % count));
	if (sm_is_ejected(id, scan->client, scan->now_ns))
		return 0;
	scan->found = id;
	return 1;
}

/* An endpoint of this group that is in rotation for this client; SM_NONE where there is none. */
SM_VERIFIED_ONCE __u32 sm_pick_in_rotation(struct sm_group *group, __u64 hash, __u32 client,
					   __u64 now_ns)
{
	struct sm_rotation_scan scan = {.group = group, .now_ns = now_ns, .client = client};
	__u32 id;

	if (!group || !group->host_count)
		return SM_NONE;
	for (__u32 step = 1; step <= SM_RESELECT_DRAWS; step++) {
		id = sm_host(group, sm_policy_next(group, hash, step));
		if (!sm_is_ejected(id, client, now_ns))
			return id;
	}
	scan.start = (__u32)(hash % group->host_count);
	bpf_loop(group->host_count < SM_RESELECT_SCAN ? group->host_count : SM_RESELECT_SCAN,
		 sm_rotation_scan_one, &scan, 0);
	return scan.found;
}

/* An endpoint in place of the one of `group` that is ejected for this client or for all; SM_NONE:
 * none is in rotation. Only groups of the same leg count: a group of another leg or subset is no
 * substitute. */
SM_VERIFIED_ONCE __u32 sm_reselect(const struct sm_descriptor *d, struct sm_group *group,
				   __u64 hash, __u32 client)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct sm_group *other;
	__u32 id, start;

	if (!d || !group || !d->group_count)
		return SM_NONE;
	id = sm_pick_in_rotation(group, hash, client, now_ns);
	if (id)
		return id;
	start = (__u32)(hash % d->group_count);
	for (__u32 i = 0; i < SM_RESELECT_GROUPS && i < d->group_count; i++) {
		other = groups_at(d->group_first + (start + i) % d->group_count);
		if (!other || other->leg != group->leg || other->cluster_id != group->cluster_id ||
		    other->policy <= SM_POLICY_REFUSE)
			continue;
		id = sm_pick_in_rotation(other, hash, client, now_ns);
		if (id)
			return id;
	}
	return SM_NONE;
}

#endif /* SOCKMESH_RESELECT_H */
