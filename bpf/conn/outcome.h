/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a record ends, and whose fault a failure was. Every path that ends a record goes through
 * here. untold.h has the paths on which TCP does not say how the connection ended. */
#ifndef SOCKMESH_OUTCOME_H
#define SOCKMESH_OUTCOME_H

#include "conn/record.h"
#include "conn/outlier.h"

/* The count is one cache line for all CPUs, so only clusters that need it pay for it. */
static __always_inline void sm_cluster_count(__u32 cluster_id, int by)
{
	struct sm_cluster_state *cluster = cluster_state_at(cluster_id);

	if (cluster)
		__sync_fetch_and_add(&cluster->active, by);
}

/* The cluster of a record: that of its endpoint, whose id stays its own while a record names it. */
static __always_inline __u32 sm_conn_cluster(const struct sm_connection *record)
{
	struct sm_endpoint *endpoint = endpoints_at(record->endpoint_id);

	return endpoint ? endpoint->cluster_id : SM_NONE;
}

/* Takes the connection off the count of its endpoint, and off the count of its cluster if it was
 * counted there. */
static __always_inline void sm_conn_leave(const struct sm_connection *record)
{
	struct sm_endpoint_state *state = endpoint_state_at(record->endpoint_id);

	if (state && unlikely(record->flags & SM_CONN_INWARD))
		__sync_fetch_and_add(&state->inward, -1);
	if (state)
		__sync_fetch_and_add(&state->active, -1);
	if (unlikely(record->flags & SM_CONN_IN_CLUSTER))
		sm_cluster_count(sm_conn_cluster(record), -1);
}

/* The connection never leaves its client's network namespace. The record goes on, so that the
 * endpoint's id stays its own and getpeername() shows the VIP. The connection is no load. */
SM_VERIFIED_ONCE int sm_conn_goes_inward(__u64 cookie)
{
	struct sm_connection *record = sm_conn_find(cookie).record;
	struct sm_endpoint_state *state;

	if (!record || record->flags & SM_CONN_INWARD)
		return 0;
	state = endpoint_state_at(record->endpoint_id);
	if (!state)
		return 0;
	if (record->flags & SM_CONN_IN_CLUSTER)
		sm_cluster_count(sm_conn_cluster(record), -1);
	record->flags = (record->flags & ~SM_CONN_IN_CLUSTER) | SM_CONN_INWARD;
	__sync_fetch_and_add(&state->inward, 1);
	return 0;
}

static __always_inline void sm_conn_end(struct sm_conn_ref ref)
{
	sm_conn_leave(ref.record);
	sm_conn_free(ref);
}

static __always_inline void sm_count_failure(const struct sm_connection *record,
					     enum sm_failure failure)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	if (stats && failure < SM_FAILURES)
		SM_ADD(stats->failed[failure], 1);
}

/* Failures that may be the endpoint's fault. A local failure never is. An application that gave
 * up had its own reasons. */
static __always_inline int sm_is_endpoints_fault(enum sm_failure failure)
{
	return failure != SM_FAILURE_LOCAL && failure != SM_FAILURE_ABANDONED;
}

/* A failure that no detector sees. */
static __always_inline void sm_count_disputed(const struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	if (stats)
		SM_ADD(stats->disputed, 1);
}

/* Whether the route of this socket, whose address in the kernel this is, ends in the socket's own
 * network namespace. Anybody can have any address in a namespace of their own, and play any
 * endpoint. The node's own namespace is not theirs: its addresses are real endpoints. */
static __always_inline int sm_sock_goes_inward(const struct sock *sk)
{
	struct net_device *device;

	if (SM_READ(struct sock, sk, __sk_common.skc_net.net, net_cookie) == settings.node_netns)
		return 0;
	device = SM_READ(struct sock, sk, sk_dst_cache, dev);
	return device && SM_READ(struct net_device, device, flags) & SM_IFF_LOOPBACK;
}

/* The attempt has failed, as far as the endpoint is concerned. The record knows its client by
 * now. */
static __always_inline void sm_attempt_failed(const struct sm_connection *record,
					      enum sm_failure failure)
{
	sm_count_failure(record, failure);
	if (!sm_is_endpoints_fault(failure))
		return;
	if (unlikely(record->flags & SM_CONN_INWARD))
		sm_count_disputed(record);
	else
		sm_endpoint_failed(record->endpoint_id, record->client);
}

/* An attempt has succeeded. The record knows its client by now. */
static __always_inline void sm_attempt_served(const struct sm_connection *record, __u64 now_ns)
{
	if (likely(!(record->flags & SM_CONN_INWARD)))
		sm_endpoint_served(record->endpoint_id, record->client, now_ns);
}

/* Ends the record of an attempt that has failed; see sm_attempt_failed(). */
SM_VERIFIED_ONCE int sm_conn_fail(__u64 cookie, __u32 failure)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);

	if (!ref.record)
		return 0;
	sm_attempt_failed(ref.record, failure);
	sm_conn_end(ref);
	return 0;
}

/* Why SYN_SENT became CLOSE. TCP leaves the reason in sk_err. No reason means that the
 * application closed the socket. */
static __always_inline enum sm_failure sm_connect_failure(int error)
{
	switch (error) {
	case 0:
		return SM_FAILURE_ABANDONED;
	case ECONNREFUSED:
		return SM_FAILURE_REFUSED;
	case ETIMEDOUT:
		return SM_FAILURE_TIMED_OUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EACCES: /* ICMPv6: prohibited by policy on the way */
		return SM_FAILURE_UNREACHABLE;
	case ECONNRESET:
	case EPIPE:
	case EPROTO:
		return SM_FAILURE_RESET;
	default:
		return SM_FAILURE_LOCAL;
	}
}

/* How an established connection ended. Without an error, a direct change from these states to
 * CLOSE means that this side sent the reset (unread data, SO_LINGER 0, a killed process). */
static __always_inline enum sm_close sm_close_reason(int error, __u32 old_state)
{
	if (error == ETIMEDOUT)
		return SM_CLOSE_TIMED_OUT;
	if (error == ECONNRESET || error == EPIPE || error == ECONNREFUSED)
		return SM_CLOSE_RESET_BY_PEER;
	if (error || old_state == BPF_TCP_ESTABLISHED || old_state == BPF_TCP_CLOSE_WAIT)
		return SM_CLOSE_RESET_BY_US;
	return SM_CLOSE_CLEAN;
}

/* Whether the attempt has taken longer than the cluster's connect_timeout. Envoy would have
 * ended it. A program cannot end it, and does not wait until TCP gives up after 127 s. */
static __always_inline int sm_is_overdue(const struct sm_connection *record, __u64 now_ns)
{
	struct sm_cluster_state *cluster = cluster_state_at(sm_conn_cluster(record));

	return cluster && cluster->connect_timeout_ns &&
	       now_ns - record->connect_at_ns >= cluster->connect_timeout_ns;
}

/* TCP gave up. The application may have told it to do so early (TCP_USER_TIMEOUT, TCP_SYNCNT), and
 * Envoy would have waited for connect_timeout: before it, the application gave up. */
static __always_inline enum sm_failure sm_gave_up(const struct sm_connection *record)
{
	struct sm_cluster_state *cluster = cluster_state_at(sm_conn_cluster(record));

	if (!cluster || !cluster->connect_timeout_ns || sm_is_overdue(record, bpf_ktime_get_ns()))
		return SM_FAILURE_TIMED_OUT;
	return SM_FAILURE_ABANDONED;
}

static __always_inline int sm_is_connecting(const struct sm_connection *record)
{
	return record->state == SM_CONN_CONNECTING || record->state == SM_CONN_OVERDUE;
}

/* Whether the record is of a connected UDP socket. */
static __always_inline int sm_is_datagram(const struct sm_connection *record)
{
	return record->state == SM_CONN_DATAGRAM || record->state == SM_CONN_ANSWERED;
}

#endif /* SOCKMESH_OUTCOME_H */
