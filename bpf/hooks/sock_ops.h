/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How every connection to every endpoint turns out, from TCP's own state changes. The callbacks are
 * requested when the SYN is sent, so that a failed connect() is seen as well, and again after the
 * handshake, because another program may have taken them away.
 */
#ifndef SOCKMESH_HOOK_SOCK_OPS_H
#define SOCKMESH_HOOK_SOCK_OPS_H

#include "conn/outcome.h"

/* The socket behind the context, which may be a connection request at a server. The stable context
 * lacks sk_err, skc_flags and skc_cookie. */
static __always_inline struct sock *sm_sock(struct bpf_sock_ops *ctx)
{
	struct bpf_sock_ops_kern *kernel;

	if (sm_has_casts()) {
		kernel = bpf_cast_to_kern_ctx(ctx);
		return kernel->sk;
	}
	return ctx->sk ? (struct sock *)bpf_skc_to_tcp_sock(ctx->sk) : NULL;
}

/* The monotonic time, in nanoseconds. TCP has asked for it just before it sends a SYN, and when it
 * gets a packet: no call is needed. `sk` is sm_sock(). */
static __always_inline __u64 sm_tcp_now(struct sock *sk)
{
	if (sm_has_casts())
		return SM_CAST(struct tcp_sock, sk)->tcp_clock_cache;
	return ((struct tcp_sock *)sk)->tcp_clock_cache;
}

static __always_inline int sm_remote_is(struct bpf_sock_ops *ctx, const __be32 addr_be[4],
					__be16 port_be)
{
	if (port_be != (__be16)(ctx->remote_port >> 16))
		return 0;
	if (ctx->family == AF_INET)
		return addr_be[3] == ctx->remote_ip4;
	return sm_ip_equal(addr_be, ctx->remote_ip6);
}

/* Whether the connection goes to one of the endpoint's addresses. */
static __always_inline int sm_goes_to(struct bpf_sock_ops *ctx, const struct sm_endpoint *endpoint)
{
	if (sm_remote_is(ctx, endpoint->addr_be, endpoint->port_be))
		return 1;
	return unlikely(endpoint->other_family) &&
	       sm_remote_is(ctx, endpoint->other_addr_be, endpoint->other_port_be);
}

/* Whether both ends are this socket: it connects to its own port on its own address. TCP calls
 * this a simultaneous open. No endpoint is involved. */
static __always_inline int sm_goes_to_itself(struct bpf_sock_ops *ctx)
{
	if (likely((__be16)(ctx->remote_port >> 16) != bpf_htons((__u16)ctx->local_port)))
		return 0;
	if (ctx->family == AF_INET)
		return ctx->local_ip4 == ctx->remote_ip4;
	return sm_ip_equal(ctx->local_ip6, ctx->remote_ip6);
}

/* Requests the callbacks, in addition to those that other programs have requested. */
static __always_inline void sm_ask_for_callbacks(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG |
					       BPF_SOCK_OPS_RTO_CB_FLAG);
}

/* sm_sock_goes_inward() without calls. */
static __always_inline int sm_goes_inward(struct sock *sk)
{
	struct dst_entry *route;
	struct net_device *device;

	if (likely(sk->__sk_common.skc_net.net->net_cookie == settings.node_netns))
		return 0;
	route = sk->sk_dst_cache;
	device = route ? route->dev : NULL;
	return device && device->flags & SM_IFF_LOOPBACK;
}

/* The SYN is about to leave, and the clock starts. A record for another destination is left over
 * from a connect() that never came this far. Such a connection, and a connection to itself, is
 * not balanced, and the application sees its real peer. */
static __always_inline void sm_connecting(struct bpf_sock_ops *ctx, struct sock *sk,
					  struct sm_conn_ref ref)
{
	struct sm_endpoint *endpoint = endpoints_at(ref.record->endpoint_id);

	if (ref.record->state != SM_CONN_PENDING)
		return;
	if (unlikely(!endpoint || !sm_goes_to(ctx, endpoint) || sm_goes_to_itself(ctx))) {
		sm_conn_fail(ref.cookie, SM_FAILURE_LOCAL);
		return;
	}
	ref.record->connect_at_ns = sm_tcp_now(sk);
	ref.record->state = SM_CONN_CONNECTING;
	if (unlikely(sm_goes_inward(sk)))
		sm_conn_goes_inward(ref.cookie);
	sm_ask_for_callbacks(ctx);
}

/* Whose connection this is. Asked for when the attempt has ended, which connect() does not wait
 * for. */
static __always_inline void sm_note_client(struct sock *sk, struct sm_connection *record)
{
	__u32 client = sm_client_known(sk->sk_cgrp_data.cgroup->kn->id,
				       sk->__sk_common.skc_net.net->net_cookie);

	if (unlikely(client == SM_CLIENT_UNKNOWN))
		client = sm_client_of_sock(record->sk);
	record->client = client;
}

/* How long the handshake took. TCP has measured it, except if it sent the SYN more than once. */
static __always_inline __u32 sm_handshake_us(struct bpf_sock_ops *ctx,
					     const struct sm_connection *record)
{
	__u32 rtt_us = ctx->srtt_us >> 3;
	__u64 took_us;

	if (likely(rtt_us && !ctx->total_retrans))
		return rtt_us;
	took_us = (bpf_ktime_get_ns() - record->connect_at_ns) / 1000;
	return took_us > 0xffffffff ? 0xffffffff : (__u32)took_us;
}

/* The handshake is done: the endpoint has served this client. */
static __always_inline void sm_established(struct bpf_sock_ops *ctx, struct sock *sk,
					   struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	record->state = SM_CONN_ESTABLISHED;
	sm_note_client(sk, record);
	sm_attempt_served(record, sm_tcp_now(sk));
	if (!stats)
		return;
	SM_ADD(stats->established, 1);
	SM_ADD(stats->connect_us[sm_histogram_bucket(sm_handshake_us(ctx, record))], 1);
}

/* After the handshake. This callback comes without a request. The requested callbacks are gone
 * if another program, which runs behind this one, has set its own instead. */
static __always_inline void
sm_established_without_callbacks(struct bpf_sock_ops *ctx, struct sock *sk, struct sm_conn_ref ref)
{
	sm_count(SM_COUNTER_CALLBACKS_LOST);
	if (sm_is_connecting(ref.record))
		sm_established(ctx, sk, ref.record);
	sm_ask_for_callbacks(ctx);
}

/* A retransmission timer fired. While the record is connecting, the SYN was retransmitted. */
static __always_inline void sm_retransmitted(struct sock *sk, struct sm_connection *record)
{
	if (record->state != SM_CONN_CONNECTING || !sm_is_overdue(record, bpf_ktime_get_ns()))
		return;
	record->state = SM_CONN_OVERDUE;
	sm_note_client(sk, record);
	sm_attempt_failed(record, SM_FAILURE_TIMED_OUT);
}

/* SYN_SENT -> CLOSE. An application that gives up after connect_timeout has met what Envoy calls
 * a timeout. */
static __always_inline void sm_not_established(struct sock *sk, struct sm_conn_ref ref, int error)
{
	enum sm_failure failure = sm_connect_failure(error);

	if (ref.record->state == SM_CONN_PENDING) {
		/* No SYN has left. The callbacks stem from an earlier connection. */
		sm_conn_fail(ref.cookie, SM_FAILURE_LOCAL);
		return;
	}
	if (ref.record->state == SM_CONN_OVERDUE) {
		sm_conn_end(ref); /* counted when it became that */
		return;
	}
	if (failure == SM_FAILURE_ABANDONED && sm_is_overdue(ref.record, bpf_ktime_get_ns()))
		failure = SM_FAILURE_TIMED_OUT;
	else if (failure == SM_FAILURE_TIMED_OUT)
		failure = sm_gave_up(ref.record);
	sm_note_client(sk, ref.record);
	sm_conn_fail(ref.cookie, failure);
}

/* Counts payload bytes. The kernel's counts include the acknowledged SYN, the FIN once it is
 * acknowledged, and the peer's FIN. */
static __always_inline void sm_count_bytes(struct bpf_sock_ops *ctx, struct sock *sk,
					   struct sm_endpoint_stats *stats, __u32 old_state)
{
	__u64 sent = ctx->bytes_acked, received = ctx->bytes_received;
	/* A reset can end LAST_ACK and CLOSING before the FIN is acknowledged. */
	int all_acked = ctx->snd_una == ctx->snd_nxt;
	__u64 ours = 1 + (old_state == BPF_TCP_FIN_WAIT2 ||
			  (all_acked &&
			   (old_state == BPF_TCP_LAST_ACK || old_state == BPF_TCP_CLOSING)));
	__u64 theirs = sk->__sk_common.skc_flags & (1UL << SM_SOCK_DONE) ? 1 : 0;
	__u32 retransmits = ctx->total_retrans;

	if (sent > ours)
		SM_ADD(stats->sent_bytes, sent - ours);
	if (received > theirs)
		SM_ADD(stats->received_bytes, received - theirs);
	if (unlikely(retransmits))
		SM_ADD(stats->retransmits, retransmits);
}

static __always_inline void sm_closed(struct bpf_sock_ops *ctx, struct sm_conn_ref ref,
				      __u32 old_state)
{
	struct sock *sk = sm_sock(ctx);
	struct sm_endpoint_stats *stats;
	enum sm_close close;
	int error;

	if (!sk)
		return;
	error = sk->sk_err;
	if (sm_is_connecting(ref.record) && old_state != BPF_TCP_SYN_SENT &&
	    old_state != BPF_TCP_SYN_RECV)
		sm_established(ctx, sk, ref.record); /* nobody told us */
	if (ref.record->state != SM_CONN_ESTABLISHED) {
		sm_not_established(sk, ref, error);
		return;
	}
	stats = sm_endpoint_stats(ref.record->endpoint_id);
	if (stats) {
		close = sm_close_reason(error, old_state);
		if (close < SM_CLOSES)
			SM_ADD(stats->closed[close], 1);
		sm_count_bytes(ctx, sk, stats, old_state);
		SM_ADD(stats->rtt_us[sm_histogram_bucket(ctx->srtt_us >> 3)], 1);
	}
	sm_conn_end(ref);
}

/* Whether the requested callbacks are still requested. */
static __always_inline int sm_is_called_back(struct bpf_sock_ops *ctx)
{
	return ctx->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_STATE_CB_FLAG;
}

/*
 * Which callbacks matter. Most come without a request, and to sockets that have no record.
 * NEEDS_ECN is the last one before a SYN leaves (for a connect() that TCP Fast Open defers, this is
 * when the first data are sent). A program that sets its callbacks in TCP_CONNECT_CB has done so by
 * then.
 */
static __always_inline int sm_is_for_us(struct bpf_sock_ops *ctx, __u32 op)
{
	__u32 new_state;

	switch (op) {
	case BPF_SOCK_OPS_NEEDS_ECN:
	case BPF_SOCK_OPS_RTO_CB:
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		return 1;
	case BPF_SOCK_OPS_STATE_CB:
		new_state = ctx->args[1];
		return new_state == BPF_TCP_ESTABLISHED || new_state == BPF_TCP_CLOSE;
	default:
		return 0;
	}
}

/* A callback of a socket that has a record. */
static __always_inline void sm_called_back(struct bpf_sock_ops *ctx, struct sm_conn_ref ref,
					   __u32 op)
{
	struct sock *sk = sm_sock(ctx);

	if (!sk)
		return;
	if (op == BPF_SOCK_OPS_NEEDS_ECN) {
		sm_connecting(ctx, sk, ref);
	} else if (op == BPF_SOCK_OPS_RTO_CB) {
		sm_retransmitted(sk, ref.record);
	} else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		sm_established_without_callbacks(ctx, sk, ref);
	} else if (ctx->args[1] == BPF_TCP_CLOSE) {
		sm_closed(ctx, ref, ctx->args[0]);
	} else if (sm_is_connecting(ref.record)) {
		sm_established(ctx, sk, ref.record);
	}
}

/* Apart from the program, which most sockets leave at once: what it does not reach costs it neither
 * registers nor stack. */
static __noinline int sm_of_ours(struct bpf_sock_ops *ctx, __u64 cookie, __u32 op)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);

	if (ref.record)
		sm_called_back(ctx, ref, op);
	return 0;
}

/* A socket gets its cookie when a program asks for it, and connect4/6 ask when they make a record.
 * A socket without a cookie has no record, and is given no cookie here. */
SEC("sockops")
int sm_sock_ops(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	struct sock *sk;
	__u64 cookie;

	if (likely(!sm_is_for_us(ctx, op)))
		return 1;
	sk = sm_sock(ctx);
	cookie = sk ? sk->__sk_common.skc_cookie.counter : 0;
	if (cookie && !(op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && sm_is_called_back(ctx)))
		sm_of_ours(ctx, cookie, op);
	return 1;
}

#endif /* SOCKMESH_HOOK_SOCK_OPS_H */
