/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policies. Each has a header of its own with its pick and with the next host after a pick that
 * was found to be ejected. This file alone knows which policy is which: a new one is a header, and
 * a line in each switch that the compiler then asks for.
 *
 * A host is an index into the group's host vector. SM_BROKEN: the tables lead nowhere.
 */
#ifndef SOCKMESH_POLICY_H
#define SOCKMESH_POLICY_H

#include "policy/least_request.h"
#include "policy/maglev.h"
#include "policy/random.h"
#include "policy/ring_hash.h"
#include "policy/round_robin.h"

/* The host that the group's policy chooses. `hash` matters to the hash policies alone. */
static __always_inline __u32 sm_policy_pick(struct sm_group *group, __u64 hash)
{
	switch ((enum sm_policy)group->policy) {
	case SM_POLICY_RANDOM:
		return sm_random_pick(group);
	case SM_POLICY_ROUND_ROBIN:
		return sm_round_robin_pick(group);
	case SM_POLICY_LEAST_REQUEST:
		return sm_least_request_pick(group);
	case SM_POLICY_MAGLEV:
		return sm_maglev_pick(group, hash);
	case SM_POLICY_RING_HASH:
		return sm_ring_hash_pick(group, hash);
	case SM_POLICY_LEAVE_ALONE:
	case SM_POLICY_REFUSE:
	case SM_POLICY_BY_HASH:
		break;
	}
	return SM_BROKEN;
}

/* The `step`th host after the one that the policy chose for `hash`. */
static __always_inline __u32 sm_policy_next(struct sm_group *group, __u64 hash, __u32 step)
{
	switch ((enum sm_policy)group->policy) {
	case SM_POLICY_RANDOM:
		return sm_random_next(group);
	case SM_POLICY_ROUND_ROBIN:
		return sm_round_robin_next(group);
	case SM_POLICY_LEAST_REQUEST:
		return sm_least_request_next(group);
	case SM_POLICY_MAGLEV:
		return sm_maglev_next(group, hash, step);
	case SM_POLICY_RING_HASH:
		return sm_ring_hash_next(group, hash, step);
	case SM_POLICY_LEAVE_ALONE:
	case SM_POLICY_REFUSE:
	case SM_POLICY_BY_HASH:
		break;
	}
	return SM_BROKEN;
}

/* The first cell of the weights for bounded load. SM_BROKEN: the policy knows no bounded load. */
static __always_inline __u32 sm_policy_weights(const struct sm_group *group)
{
	switch ((enum sm_policy)group->policy) {
	case SM_POLICY_MAGLEV:
		return sm_maglev_weights(group);
	case SM_POLICY_RING_HASH:
		return sm_ring_hash_weights(group);
	case SM_POLICY_RANDOM:
	case SM_POLICY_ROUND_ROBIN:
	case SM_POLICY_LEAST_REQUEST:
	case SM_POLICY_LEAVE_ALONE:
	case SM_POLICY_REFUSE:
	case SM_POLICY_BY_HASH:
		break;
	}
	return SM_BROKEN;
}

/* Whether the policy chooses a host by the hash. */
static __always_inline int sm_policy_hashes(__u32 policy)
{
	switch ((enum sm_policy)policy) {
	case SM_POLICY_MAGLEV:
	case SM_POLICY_RING_HASH:
		return 1;
	case SM_POLICY_RANDOM:
	case SM_POLICY_ROUND_ROBIN:
	case SM_POLICY_LEAST_REQUEST:
	case SM_POLICY_LEAVE_ALONE:
	case SM_POLICY_REFUSE:
	case SM_POLICY_BY_HASH:
		break;
	}
	return 0;
}

#endif /* SOCKMESH_POLICY_H */
