// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * How every connection to every endpoint turns out, from TCP's own state changes: asked for when
 * the SYN is sent, so that a connect() that fails is seen, too.
 */
#include "outcome.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The socket behind the context; sk_err and skc_flags are not in the stable context. */
static __always_inline struct sock *sm_sock(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? (struct sock *)bpf_skc_to_tcp_sock(sk) : NULL;
}

/* SYN_SENT -> CLOSE: why. TCP leaves the reason in sk_err; none means that the socket was closed.
 */
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

/* How an established connection ended. Without an error, leaving these states for CLOSE at once
 * means that we sent the reset (unread data, SO_LINGER 0, a killed process). */
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

static __always_inline int sm_remote_is(struct bpf_sock_ops *ctx, const __be32 addr_be[4],
					__be16 port_be)
{
	if (port_be != (__be16)(ctx->remote_port >> 16))
		return 0;
	if (ctx->family == AF_INET)
		return addr_be[3] == ctx->remote_ip4;
	return addr_be[0] == ctx->remote_ip6[0] && addr_be[1] == ctx->remote_ip6[1] &&
	       addr_be[2] == ctx->remote_ip6[2] && addr_be[3] == ctx->remote_ip6[3];
}

/* Whether the connection goes to one of the endpoint's addresses. */
static __always_inline int sm_goes_to(struct bpf_sock_ops *ctx, const struct sm_endpoint *endpoint)
{
	if (sm_remote_is(ctx, endpoint->addr_be, endpoint->port_be))
		return 1;
	return unlikely(endpoint->other_family) &&
	       sm_remote_is(ctx, endpoint->other_addr_be, endpoint->other_port_be);
}

/* The SYN is about to leave. A record for another destination is left over from a connect() that
 * never came to this point: it was local, and this connection is not ours. */
static __always_inline void sm_connecting(struct bpf_sock_ops *ctx, struct sm_conn_ref ref)
{
	struct sm_endpoint *endpoint = endpoints_at(ref.record->endpoint_id);

	if (!endpoint || !sm_goes_to(ctx, endpoint)) {
		sm_conn_failed(ref, SM_FAILURE_LOCAL);
		return;
	}
	ref.record->state = SM_CONN_CONNECTING;
	/* Others may have asked for callbacks of their own. */
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG |
					       BPF_SOCK_OPS_RTO_CB_FLAG);
}

/* Whether the attempt has taken longer than the cluster's connect_timeout. Envoy would have ended
 * it; we cannot, and need not wait for TCP's own patience (127 s) to know. */
static __always_inline int sm_is_overdue(const struct sm_connection *record, __u64 now_ns)
{
	struct sm_cluster_state *cluster = cluster_state_at(record->cluster_id);

	return cluster && cluster->connect_timeout_ns &&
	       now_ns - record->connect_at_ns >= cluster->connect_timeout_ns;
}

/* A retransmission timer fired: of a SYN, while the record is connecting. */
static __always_inline void sm_retransmitted(struct sm_connection *record)
{
	if (record->state != SM_CONN_CONNECTING || !sm_is_overdue(record, bpf_ktime_get_ns()))
		return;
	record->state = SM_CONN_OVERDUE;
	sm_attempt_failed(record, SM_FAILURE_TIMED_OUT);
}

/* SYN_SENT -> CLOSE. Giving up after connect_timeout is what Envoy calls a timeout. */
static __always_inline void sm_not_established(struct sm_conn_ref ref, int error)
{
	enum sm_failure failure = sm_connect_failure(error);

	if (ref.record->state == SM_CONN_OVERDUE) {
		sm_conn_end(ref); /* counted when it became that */
		return;
	}
	if (failure == SM_FAILURE_ABANDONED && sm_is_overdue(ref.record, bpf_ktime_get_ns()))
		failure = SM_FAILURE_TIMED_OUT;
	sm_conn_failed(ref, failure);
}

static __always_inline void sm_established(struct sm_conn_ref ref)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(ref.record->endpoint_id);
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 took_us = (now_ns - ref.record->connect_at_ns) / 1000;

	ref.record->state = SM_CONN_ESTABLISHED;
	sm_endpoint_served(ref.record->endpoint_id, ref.record->netns_cookie, now_ns);
	if (!stats)
		return;
	SM_ADD(stats->established, 1);
	SM_ADD(stats->connect_us[sm_bucket(took_us > 0xffffffff ? 0xffffffff : (__u32)took_us)], 1);
}

/* Payload bytes: the kernel's counts include our acknowledged SYN, our FIN once it is
 * acknowledged, and the peer's FIN. */
static __always_inline void sm_count_bytes(struct bpf_sock_ops *ctx, struct sock *sk,
					   struct sm_endpoint_stats *stats, __u32 old_state)
{
	__u64 sent = ctx->bytes_acked, received = ctx->bytes_received;
	/* A reset can end LAST_ACK and CLOSING before our FIN is acknowledged. */
	int all_acked = ctx->snd_una == ctx->snd_nxt;
	__u64 ours = 1 + (old_state == BPF_TCP_FIN_WAIT2 ||
			  (all_acked &&
			   (old_state == BPF_TCP_LAST_ACK || old_state == BPF_TCP_CLOSING)));
	__u64 theirs = sk && (sk->__sk_common.skc_flags & (1UL << SM_SOCK_DONE)) ? 1 : 0;

	SM_ADD(stats->sent_bytes, sent > ours ? sent - ours : 0);
	SM_ADD(stats->received_bytes, received > theirs ? received - theirs : 0);
	SM_ADD(stats->retransmits, ctx->total_retrans);
}

static __always_inline void sm_closed(struct bpf_sock_ops *ctx, struct sm_conn_ref ref,
				      __u32 old_state)
{
	struct sm_endpoint_stats *stats;
	struct sock *sk = sm_sock(ctx);
	int error = sk ? sk->sk_err : 0;
	enum sm_close close;

	if (ref.record->state != SM_CONN_ESTABLISHED) {
		sm_not_established(ref, error);
		return;
	}
	stats = sm_endpoint_stats(ref.record->endpoint_id);
	if (stats) {
		close = sm_close_reason(error, old_state);
		if (close < SM_CLOSES)
			SM_ADD(stats->closed[close], 1);
		sm_count_bytes(ctx, sk, stats, old_state);
		SM_ADD(stats->rtt_us[sm_bucket(ctx->srtt_us >> 3)], 1);
	}
	sm_conn_end(ref);
}

/* A socket gets its cookie when somebody asks for it, and connect4/6 do so for a record. Without
 * one it is not ours, and need not be given one to find that out. */
static __always_inline int sm_has_cookie(struct bpf_sock_ops *ctx)
{
	struct sock *sk = sm_sock(ctx);

	return !sk || sk->__sk_common.skc_cookie.counter;
}

SEC("sockops")
int sm_sock_ops(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op, old_state, new_state;
	struct sm_conn_ref ref;

	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_STATE_CB &&
	    op != BPF_SOCK_OPS_RTO_CB)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB && !sm_has_cookie(ctx))
		return 1;
	ref = sm_conn_find(ctx->sk, bpf_get_socket_cookie(ctx));
	if (!ref.record)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		sm_connecting(ctx, ref);
		return 1;
	}
	if (op == BPF_SOCK_OPS_RTO_CB) {
		sm_retransmitted(ref.record);
		return 1;
	}
	old_state = ctx->args[0];
	new_state = ctx->args[1];
	if (new_state == BPF_TCP_ESTABLISHED)
		sm_established(ref);
	else if (new_state == BPF_TCP_CLOSE)
		sm_closed(ctx, ref, old_state);
	return 1;
}
