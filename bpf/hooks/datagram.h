/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connected UDP sockets. The record is the same as TCP's. UDP has no handshake, so the record's
 * outcome is what the kernel knows by itself: an ICMP error is a failure of the endpoint, and a
 * datagram from the endpoint is a success. Silence is neither.
 *
 * The record may outlive the connection: connect(AF_UNSPEC) runs no hook. Whoever uses a record
 * compares its endpoint with the socket's peer.
 */
#ifndef SOCKMESH_DATAGRAM_H
#define SOCKMESH_DATAGRAM_H

#include "conn/untold.h"
#include "select/flow.h"
#include "select/reach.h"

/* Whether a connected UDP socket has received anything. */
static __always_inline int sm_has_heard(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_incoming_cpu) != -1;
}

/*
 * A connect() was rewritten. All in registers, because the stack of the connect hooks is full:
 * `vip`: the address's words 0 and 1, `vip_end`: 2 and 3, the first one low; `ids`: the endpoint's
 * id low, the cluster's high; `rest`: the VIP's port low, SM_CONN_* high.
 */
SM_VERIFIED_ONCE int sm_datagram_connected(struct bpf_sock_addr *ctx, __u64 vip, __u64 vip_end,
					   __u64 ids, __u64 rest)
{
	__u32 endpoint_id = (__u32)ids, flags = (__u32)(rest >> 32);
	struct sm_endpoint_state *state = endpoint_state_at(endpoint_id);
	struct sm_endpoint_stats *stats = sm_endpoint_stats(endpoint_id);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct sm_connection *record;

	if (!state)
		return 0;
	if (stats)
		SM_ADD(stats->selected, 1);
	sm_udp_begins();
	record = sm_conn_claim(cookie).record;
	if (!record)
		return 0;
	if (record->state != SM_CONN_FREE)
		sm_conn_settle(cookie, 0);
	record->vip_be[0] = (__be32)vip;
	record->vip_be[1] = (__be32)(vip >> 32);
	record->vip_be[2] = (__be32)vip_end;
	record->vip_be[3] = (__be32)(vip_end >> 32);
	record->vip_port_be = (__be16)rest;
	record->family = ctx->family == AF_INET ? SM_FAMILY_V4 : SM_FAMILY_V6;
	record->endpoint_id = endpoint_id;
	record->cluster_id = (__u32)(ids >> 32);
	record->connect_at_ns = bpf_ktime_get_coarse_ns();
	record->netns_cookie = bpf_get_netns_cookie(ctx);
	record->sk = (__u64)(long)ctx->sk;
	if (sm_has_heard((const struct sock *)(long)READ_ONCE(record->sk)))
		flags |= SM_CONN_HEARD;
	record->flags = flags;
	WRITE_ONCE(record->state, SM_CONN_DATAGRAM);
	__sync_fetch_and_add(&state->active, 1);
	if (flags & SM_CONN_IN_CLUSTER)
		sm_cluster_count((__u32)(ids >> 32), 1);
	return 0;
}

/* The endpoint has sent the socket a datagram. */
static __always_inline void sm_datagram_answered(struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	record->state = SM_CONN_ANSWERED;
	sm_endpoint_served(record->endpoint_id, record->netns_cookie, bpf_ktime_get_ns());
	if (stats)
		SM_ADD(stats->established, 1);
}

/* The kernel has an error for the socket. `error` is positive. */
static __always_inline void sm_datagram_failed(const struct sm_connection *record, int error)
{
	enum sm_failure failure = sm_connect_failure(error);

	if (sm_is_datagram(record) && sm_is_endpoints_fault(failure))
		sm_attempt_failed(record, failure);
}

/* The record of the socket, if it names this address as its endpoint's. */
static __always_inline struct sm_connection *sm_datagram_to(__u64 cookie,
							    const struct sm_flow_address *peer)
{
	struct sm_connection *record = sm_conn_find(cookie).record;
	struct sm_endpoint *endpoint;

	if (!record || !sm_is_datagram(record))
		return NULL;
	endpoint = endpoints_at(record->endpoint_id);
	if (!endpoint || !sm_endpoint_is(endpoint, peer->addr_be, peer->port_be))
		return NULL;
	return record;
}

/* The last reference from user space is gone. A connected socket's skc_incoming_cpu says whether it
 * has received anything; who reads with recv() runs no hook. */
SM_VERIFIED_ONCE int sm_datagram_released(__u64 cookie)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);

	if (!ref.record || !sm_is_datagram(ref.record))
		return 0;
	if (ref.record->state == SM_CONN_DATAGRAM && !(ref.record->flags & SM_CONN_HEARD) &&
	    sm_has_heard((const struct sock *)(long)READ_ONCE(ref.record->sk)))
		sm_datagram_answered(ref.record);
	sm_conn_settle(cookie, 0);
	sm_conn_free(ref);
	return 0;
}

#endif /* SOCKMESH_DATAGRAM_H */
