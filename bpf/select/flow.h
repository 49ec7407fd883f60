/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows: what a UDP socket that names a VIP with each send was sent to. A flow is a socket and a
 * VIP. It stays on its endpoint as long as the endpoint may be used, so QUIC and DTLS work, and it
 * moves with the next send otherwise.
 *
 *   flows[socket, VIP] -> endpoint                 for sendmsg()
 *   flow_sources[socket, endpoint's address] -> VIP   for recvmsg()
 *
 * As with affinity, the remembered entry alone never decides: the endpoint must be a host of the
 * descriptor that this send looked up.
 *
 * Both maps are bounded. The kernel's LRU drops what was not used for the longest time. So both
 * entries of a flow are looked up every few seconds while it sends. A socket's flows are also
 * a chain, which its release follows. A chain may be broken by the LRU; what is behind the break is
 * dropped by the LRU in its turn.
 *
 * sendmsg(), recvmsg() and release of one socket run one at a time: the programs run under the
 * socket's lock. Only the LRU takes an entry away meanwhile, and gives its memory to another key.
 */
#ifndef SOCKMESH_FLOW_H
#define SOCKMESH_FLOW_H

#include "select/affinity.h"
#include "select/lookup.h"
#include "select/reach.h"

#define SM_FLOW_CHAIN	     65536 /* flows of a socket that its release ends, at most */
#define SM_FLOW_SEEN_JIFFIES 256   /* 0.26 to 2.6 seconds, by the kernel's HZ */

static __always_inline void sm_flow_key_of(struct sm_flow_key *key, __u64 cookie,
					   const __be32 addr_be[4], __be16 port_be)
{
	key->cookie = cookie;
	sm_ip_copy(key->addr_be, addr_be);
	key->port_be = port_be;
	key->pad = 0;
	key->pad2 = 0;
}

static __always_inline int sm_flow_is_for(const struct sm_flow_address *vip,
					  const __be32 addr_be[4], __be16 port_be)
{
	return vip->port_be == port_be && sm_ip_equal(vip->addr_be, addr_be);
}

/* Looks for the flow's endpoint among the descriptor's hosts, after the tables have changed. 1: it
 * may be used. */
SM_VERIFIED_ONCE int sm_flow_search(const struct sm_descriptor *d, struct sm_affinity *last)
{
	struct sm_affinity_search search = {.d = d};

	if (!d || !last)
		return 0;
	search.last = *last;
	bpf_loop(d->group_count < SM_AFFINITY_GROUPS ? d->group_count : SM_AFFINITY_GROUPS,
		 sm_affinity_look_in_group, &search, 0);
	if (!search.found)
		return 0;
	WRITE_ONCE(last->group, search.group);
	WRITE_ONCE(last->host, search.host);
	return 1;
}

/* Whether the flow's endpoint may be used. First the place where it was last time. */
static __always_inline int sm_flow_holds(const struct sm_descriptor *d, struct sm_affinity *last)
{
	struct sm_group *group = NULL;

	if (last->group < d->group_count)
		group = groups_at(d->group_first + last->group);
	if (likely(group && sm_affinity_holds(group, last->host, last)))
		return 1;
	return sm_flow_search(d, last);
}

/* The service of the flow's VIP, which is `to`. The service that it was last time is looked at
 * first, because an array costs less than a hash. The agent clears the head of a service that is
 * gone at once. NULL: there is none. */
static __always_inline const struct sm_descriptor *sm_flow_service(struct sm_flow *flow,
								   const struct sm_dest *to)
{
	const struct sm_descriptor *d = sm_descriptor_of(&flow->service_id);

	if (likely(d && sm_descriptor_is_of(d, to)))
		return d;
	d = sm_lookup_vip(to);
	if (d)
		WRITE_ONCE(flow->service_id, d->service_id);
	return d;
}

/* Notes which VIP the socket's datagrams from `source` show. 1: another VIP has this source. */
static __always_inline int sm_flow_note_source(const struct sm_flow_key *source,
					       const struct sm_flow_address *vip, __u32 endpoint_id)
{
	struct sm_flow_source *known = bpf_map_lookup_elem(&flow_sources, source);
	struct sm_flow_source made = {};

	if (known && READ_ONCE(known->cookie) == source->cookie &&
	    sm_flow_is_for(&known->vip, vip->addr_be, vip->port_be))
		return 0;
	made.cookie = source->cookie;
	made.vip = *vip;
	made.endpoint_id = endpoint_id;
	if (bpf_map_update_elem(&flow_sources, source, &made, BPF_ANY))
		sm_count(SM_COUNTER_FLOWS_LOST);
	return known != NULL;
}

/* Marks the socket's flow to this VIP as one that shares its endpoint. */
static __always_inline void sm_flow_share(__u64 cookie, const struct sm_flow_address *vip)
{
	struct sm_flow_key key;
	struct sm_flow *flow;

	sm_flow_key_of(&key, cookie, vip->addr_be, vip->port_be);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow)
		WRITE_ONCE(flow->flags, SM_FLOW_SHARED);
}

/*
 * A known flow sends. Every few seconds, and with each send if two VIPs share the endpoint, the
 * entry for the receiver is looked at, and made again if the LRU has dropped it.
 */
SM_VERIFIED_ONCE int sm_flow_refresh(struct sm_flow *flow, const struct sm_flow_key *source)
{
	struct sm_flow_address vip;
	struct sm_flow_key key;

	if (!flow || !source)
		return 0;
	vip = flow->vip;
	key = *source; /* Linux 6.1 takes a key from the own stack alone */
	WRITE_ONCE(flow->seen_jiffies, bpf_jiffies64());
	WRITE_ONCE(flow->last.used_ns, bpf_ktime_get_coarse_ns());
	if (sm_flow_note_source(&key, &vip, flow->last.endpoint_id))
		WRITE_ONCE(flow->flags, SM_FLOW_SHARED);
	return 0;
}

static __always_inline int sm_flow_needs_refresh(const struct sm_flow *flow)
{
	return unlikely(flow->flags & SM_FLOW_SHARED) ||
	       unlikely(bpf_jiffies64() - READ_ONCE(flow->seen_jiffies) >= SM_FLOW_SEEN_JIFFIES);
}

/* Puts the flow in front of the socket's chain. */
static __always_inline void sm_flow_chain(struct sm_flow *made)
{
	struct sm_flow_source first = {.cookie = made->cookie, .vip = made->vip};
	struct sm_flow_source *known;
	struct sm_flow_key key = {.cookie = made->cookie};

	known = bpf_map_lookup_elem(&flow_sources, &key);
	if (known && READ_ONCE(known->cookie) == made->cookie)
		made->next = known->vip;
	bpf_map_update_elem(&flow_sources, &key, &first, BPF_ANY);
}

/* Fills in where the flow goes now. */
static __always_inline int sm_flow_set_endpoint(struct sm_flow *flow, __u32 endpoint_id)
{
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);

	if (!endpoint)
		return 0;
	flow->last.endpoint_id = endpoint_id;
	flow->last.group = 0;
	flow->last.host = 0;
	sm_ip_copy(flow->last.addr_be, endpoint->addr_be);
	flow->last.port_be = endpoint->port_be;
	flow->last.used_ns = bpf_ktime_get_coarse_ns();
	flow->seen_jiffies = bpf_jiffies64();
	return 1;
}

/* The VIP that another flow of the socket has with this source. 0: none, or the same VIP. */
static __always_inline int sm_flow_other_vip(const struct sm_flow_key *source,
					     const struct sm_flow_address *vip,
					     struct sm_flow_address *other)
{
	struct sm_flow_source *known = bpf_map_lookup_elem(&flow_sources, source);

	if (!known || READ_ONCE(known->cookie) != source->cookie ||
	    sm_flow_is_for(&known->vip, vip->addr_be, vip->port_be))
		return 0;
	*other = known->vip;
	return 1;
}

/*
 * The socket's sends to `vip`, which is of this service, go to this endpoint from now on, at the
 * address that `source` has.
 * The flow's old source stays: late answers of the endpoint before still show the VIP.
 */
SM_VERIFIED_ONCE int sm_flow_make(const struct sm_flow_address *vip,
				  const struct sm_flow_key *source, __u32 endpoint_id,
				  __u32 service_id)
{
	struct sm_flow made = {};
	struct sm_flow_address other;
	struct sm_flow_key key, from;
	struct sm_flow *known;

	if (!vip || !source)
		return 0;
	sm_udp_begins();
	from = *source; /* Linux 6.1 takes a key from the own stack alone */
	sm_flow_key_of(&key, from.cookie, vip->addr_be, vip->port_be);
	known = bpf_map_lookup_elem(&flows, &key);
	if (known)
		made = *known;
	made.cookie = from.cookie;
	made.vip = *vip;
	made.service_id = service_id;
	if (!sm_flow_set_endpoint(&made, endpoint_id))
		return 0;
	if (sm_flow_other_vip(&from, vip, &other)) {
		made.flags = SM_FLOW_SHARED;
		sm_flow_share(from.cookie, &other);
	}
	if (!known)
		sm_flow_chain(&made);
	if (bpf_map_update_elem(&flows, &key, &made, BPF_ANY))
		sm_count(SM_COUNTER_FLOWS_LOST);
	else
		sm_count(known ? SM_COUNTER_FLOWS_MOVED : SM_COUNTER_FLOWS_CREATED);
	sm_flow_note_source(&from, vip, endpoint_id);
	return 0;
}

/* ---- the end of a socket ---- */

struct sm_flow_end {
	__u64 cookie;
	struct sm_flow_address vip; /* the next one to end */
	__u32 pad;
};

static __always_inline void sm_flow_forget_source(__u64 cookie, const __be32 addr_be[4],
						  __be16 port_be)
{
	struct sm_flow_key key;

	sm_flow_key_of(&key, cookie, addr_be, port_be);
	bpf_map_delete_elem(&flow_sources, &key);
}

static long sm_flow_end_one(__u64 i, struct sm_flow_end *end)
{
	struct sm_endpoint *endpoint;
	struct sm_flow_key key;
	struct sm_flow *flow;

	if (!end->vip.port_be)
		return 1;
	sm_flow_key_of(&key, end->cookie, end->vip.addr_be, end->vip.port_be);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || READ_ONCE(flow->cookie) != end->cookie)
		return 1; /* the LRU has broken the chain */
	end->vip = flow->next;
	sm_flow_forget_source(end->cookie, flow->last.addr_be, flow->last.port_be);
	endpoint = endpoints_at(flow->last.endpoint_id);
	if (endpoint && endpoint->other_family)
		sm_flow_forget_source(end->cookie, endpoint->other_addr_be,
				      endpoint->other_port_be);
	if (!bpf_map_delete_elem(&flows, &key))
		sm_count(SM_COUNTER_FLOWS_ENDED);
	return 0;
}

/* Ends the flows of a socket that is no more. */
SM_VERIFIED_ONCE int sm_flow_end_all(__u64 cookie)
{
	struct sm_flow_key key = {.cookie = cookie};
	struct sm_flow_end end = {.cookie = cookie};
	struct sm_flow_source *first = bpf_map_lookup_elem(&flow_sources, &key);

	if (!first || READ_ONCE(first->cookie) != cookie)
		return 0;
	end.vip = first->vip;
	bpf_map_delete_elem(&flow_sources, &key);
	bpf_loop(SM_FLOW_CHAIN, sm_flow_end_one, &end, 0);
	return 0;
}

#endif /* SOCKMESH_FLOW_H */
