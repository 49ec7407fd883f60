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
	return SM_READ(struct sock, sk, __sk_common.skc_incoming_cpu) != -1;
}

/* What the record of a UDP socket has beside what TCP's has. The socket is connected to a service
 * now. */
static __always_inline void sm_datagram_begins(struct sm_connection *record)
{
	sm_udp_begins();
	if (sm_has_heard((const struct sock *)(long)READ_ONCE(record->sk)))
		record->flags |= SM_CONN_HEARD;
	WRITE_ONCE(record->state, SM_CONN_DATAGRAM);
}

/* Notes whose socket this is, and whether it reaches only its own namespace: connect() comes before
 * the route. */
static __always_inline void sm_datagram_note_client(struct sm_connection *record)
{
	record->client = sm_client_of_sock(record->sk);
	if (sm_sock_goes_inward((const struct sock *)(long)READ_ONCE(record->sk)))
		sm_conn_goes_inward(record->cookie);
}

/* The endpoint has sent the socket a datagram. */
static __always_inline void sm_datagram_answered(struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	record->state = SM_CONN_ANSWERED;
	sm_datagram_note_client(record);
	sm_attempt_served(record, bpf_ktime_get_coarse_ns());
	if (stats)
		SM_ADD(stats->established, 1);
}

/* The kernel has an error for the socket. `error` is positive. */
static __always_inline void sm_datagram_failed(struct sm_connection *record, int error)
{
	enum sm_failure failure = sm_connect_failure(error);

	if (!sm_is_datagram(record) || !sm_is_endpoints_fault(failure))
		return;
	sm_datagram_note_client(record);
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
