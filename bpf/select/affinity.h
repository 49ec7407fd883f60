/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Client-IP session affinity, as Kubernetes has it: a client that connects again within the
 * service's time goes to its last endpoint, if that endpoint may still be used. Only services that
 * ask for affinity come here (sm_descriptor.affinity_s).
 *
 * The remembered entry alone never decides. The endpoint must be a host of one of the groups of the
 * descriptor that this connect() looked up, at an index below the group's host_count. The group's
 * policy picks from the same list. The agent compiles the list from the endpoints that are listed,
 * healthy, not draining and not ejected (or from all in panic), and publishes the list whole. So an
 * endpoint that was removed or is unhealthy is not in the list. An id that meanwhile belongs to
 * another endpoint is not in the list either: an id is reused only after all readers of tables that
 * name it are gone. The table does not know of an ejection that happened microseconds ago. The
 * endpoint's state does. The address is compared as well: an id that was reused for another
 * endpoint of the same service is not "the same endpoint".
 *
 * This also covers an entry that is left over from an earlier service of this VIP, an entry of an
 * earlier agent, and an entry that the kernel's LRU recycles while a program reads it. The worst
 * result is another good endpoint.
 */
#ifndef SOCKMESH_AFFINITY_H
#define SOCKMESH_AFFINITY_H

#include "select/choice.h"
#include "select/client_address.h"

/* The bounds of a search after the tables have changed. Beyond them the policy chooses. */
#define SM_AFFINITY_GROUPS 256
#define SM_AFFINITY_HOSTS  65536
#define SM_SECOND_NS	   1000000000ULL

/* The time is asked for only where it is needed: it costs two calls. */
static __always_inline int sm_is_ejected_for_all(const struct sm_endpoint_state *state)
{
	__u64 until_ns = READ_ONCE(state->ejected_until_ns);

	return unlikely(until_ns) && until_ns > bpf_ktime_get_ns();
}

/* Whether `host` of `group` is the remembered endpoint, and may be chosen. */
static __always_inline int sm_affinity_holds(const struct sm_group *group, __u32 host,
					     const struct sm_affinity *last)
{
	struct sm_endpoint_state *state;
	struct sm_endpoint *endpoint;

	if (group->policy <= SM_POLICY_REFUSE || group->policy == SM_POLICY_BY_HASH)
		return 0;
	if (sm_host(group, host) != last->endpoint_id)
		return 0;
	endpoint = endpoints_at(last->endpoint_id);
	state = endpoint_state_at(last->endpoint_id);
	if (!endpoint || !state || endpoint->port_be != last->port_be)
		return 0;
	if (!sm_ip_equal(endpoint->addr_be, last->addr_be))
		return 0;
	/* In panic the policy ignores health, so the client may stay. */
	return (group->flags & SM_GROUP_PANIC) || !sm_is_ejected_for_all(state);
}

struct sm_affinity_search {
	const struct sm_descriptor *d;
	struct sm_affinity last;
	__u32 group; /* relative to the descriptor's first */
	__u32 host;
	__u32 found;
	__u32 pad;
};

static long sm_affinity_look(__u64 i, struct sm_affinity_search *search)
{
	struct sm_group *group = groups_at(search->d->group_first + search->group);

	if (!group || i >= group->host_count)
		return 1;
	if (sm_host(group, (__u32)i) != search->last.endpoint_id)
		return 0;
	/* An endpoint is listed once in a group, so the search in this group ends here. */
	search->host = (__u32)i;
	search->found = sm_affinity_holds(group, (__u32)i, &search->last);
	return 1;
}

static long sm_affinity_look_in_group(__u64 i, struct sm_affinity_search *search)
{
	struct sm_group *group;

	if (i >= search->d->group_count)
		return 1;
	group = groups_at(search->d->group_first + (__u32)i);
	if (!group)
		return 1;
	search->group = (__u32)i;
	bpf_loop(group->host_count < SM_AFFINITY_HOSTS ? group->host_count : SM_AFFINITY_HOSTS,
		 sm_affinity_look, search, 0);
	return search->found ? 1 : 0;
}

static __always_inline void sm_affinity_key_of(const struct sm_descriptor *d,
					       const struct sm_client *client,
					       struct sm_affinity_key *key)
{
	key->netns_cookie = sm_caller_netns();
	sm_ip_copy(key->client_be, client->ip.word);
	sm_ip_copy(key->vip_be, d->addr_be);
	key->vip_port_be = d->port_be;
	key->protocol = d->protocol;
	key->range_bits = (__u8)d->range_bits;
	key->pad = 0;
}

/* What is remembered of this client, or NULL. Apart, because its key needs stack. */
static __noinline struct sm_affinity *sm_affinity_of(const struct sm_descriptor *d,
						     const struct sm_client *client)
{
	struct sm_affinity_key key;

	sm_affinity_key_of(d, client, &key);
	return bpf_map_lookup_elem(&affinity, &key);
}

/*
 * Where this client goes again: (group, relative to the descriptor's first) << 32 | endpoint id; 0
 * where a choice is to be made.
 */
SM_VERIFIED_ONCE __u64 sm_affinity_find(const struct sm_descriptor *d,
					const struct sm_client *client)
{
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	struct sm_affinity_search search = {};
	struct sm_affinity *last;
	struct sm_group *group;

	if (!d || !client)
		return 0;
	last = sm_affinity_of(d, client);
	if (!last)
		return 0;
	search.d = d;
	search.last = *last;
	/* Another CPU may have written a later time than ours. */
	if (now_ns > search.last.used_ns + (__u64)d->affinity_s * SM_SECOND_NS)
		return 0;
	/* First the place where the endpoint was found last time: one read, while the tables
	 * stay as they are. */
	search.group = search.last.group;
	search.host = search.last.host;
	if (search.group < d->group_count) {
		group = groups_at(d->group_first + search.group);
		search.found = group && sm_affinity_holds(group, search.host, &search.last);
	}
	if (!search.found) {
		bpf_loop(d->group_count < SM_AFFINITY_GROUPS ? d->group_count : SM_AFFINITY_GROUPS,
			 sm_affinity_look_in_group, &search, 0);
		if (!search.found)
			return 0;
		WRITE_ONCE(last->group, search.group);
		WRITE_ONCE(last->host, search.host);
	}
	WRITE_ONCE(last->used_ns, now_ns);
	return (__u64)search.group << 32 | search.last.endpoint_id;
}

/* Writes the entry. A new one must fit into the share of the client at place `who`: one client with
 * many addresses makes the node forget nobody else's. */
static __always_inline void sm_affinity_store(const struct sm_affinity_key *key,
					      struct sm_affinity *last, __u32 who)
{
	struct sm_affinity *known = bpf_map_lookup_elem(&affinity, key);
	struct sm_client_line *line = sm_client_line(who);

	last->client = known ? known->client : (__u16)who;
	if (!known && line && READ_ONCE(line->affinities) >= settings.affinity_share) {
		sm_count(SM_COUNTER_AFFINITY_LOST);
		return;
	}
	if (bpf_map_update_elem(&affinity, key, last, BPF_ANY))
		sm_count(SM_COUNTER_AFFINITY_LOST);
	else if (!known && line)
		__sync_fetch_and_add(&line->affinities, 1);
}

/* Remembers the choice, for the client at place `who`. A full map drops the client that was not
 * seen for the longest time. */
SM_VERIFIED_ONCE int sm_affinity_keep(const struct sm_descriptor *d, const struct sm_client *client,
				      __u32 endpoint_id, __u32 who)
{
	struct sm_affinity last = {.endpoint_id = endpoint_id,
				   .used_ns = bpf_ktime_get_coarse_ns()};
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_affinity_key key;

	if (!d || !client || !endpoint)
		return 0;
	sm_affinity_key_of(d, client, &key);
	sm_ip_copy(last.addr_be, endpoint->addr_be);
	last.port_be = endpoint->port_be;
	sm_affinity_store(&key, &last, who);
	return 0;
}

/* Whether the client has ejected the endpoint that it would go to again. */
static __always_inline int sm_affinity_is_out(__u32 endpoint_id)
{
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);

	return state && unlikely(READ_ONCE(state->own_until_ns)) &&
	       sm_own_ejected(endpoint_id, sm_client_of_caller());
}

/* Chooses what sm_affinity_find() answered. 0: it leads nowhere. */
static __always_inline int sm_affinity_choose(const struct sm_descriptor *d, __u64 found,
					      struct sm_choice *choice)
{
	struct sm_group *group = groups_at(d->group_first + (__u32)(found >> 32));

	if (!group)
		return 0;
	sm_choice_set(choice, group, (__u32)found);
	return 1;
}

#endif /* SOCKMESH_AFFINITY_H */
