/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect(): a VIP becomes an endpoint before the first packet exists. */
#ifndef SOCKMESH_HOOK_CONNECT_H
#define SOCKMESH_HOOK_CONNECT_H

#include "conn/asked.h"
#include "hooks/datagram.h"
#include "hooks/redirect.h"

/* Notes which endpoint this socket goes to. A connection without a record is still balanced, and
 * its outcome is not counted. */
static __always_inline void sm_record(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				      const struct sm_conn_home *home,
				      const struct sm_choice *choice,
				      const struct sm_target *target)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(choice->endpoint_id);
	struct sm_connection *record = sm_conn_claim(home).record;

	if (stats)
		SM_ADD(stats->selected, 1);
	if (unlikely(!record))
		return;
	/* A second connect() on one socket. TCP did not say how the first one ended. */
	if (unlikely(record->state != SM_CONN_FREE))
		sm_conn_settle(home->cookie, 0);
	sm_ip_copy(record->vip_be, d->addr_be);
	record->vip_port_be = d->port_be;
	record->flags = choice->conn_flags;
	if (unlikely(d->range_bits))
		record->flags |= SM_CONN_OF_RANGE;
	record->endpoint_id = choice->endpoint_id;
	record->gone_mark = 0;
	record->connect_at_ns = 0;
	record->client = SM_CLIENT_NONE;
	record->sk = (__u64)(long)ctx->sk;
	if (likely(d->protocol == IPPROTO_TCP))
		WRITE_ONCE(record->state, SM_CONN_PENDING);
	else
		sm_datagram_begins(record);
	__sync_fetch_and_add(&target->state->active, 1);
	if (unlikely(choice->conn_flags & SM_CONN_IN_CLUSTER))
		sm_cluster_count(choice->cluster_id, 1);
}

/* This connect() makes no record. A record that an earlier connect() left ends, because the
 * socket's next connection does not belong to that service. */
static __always_inline void sm_no_record(struct bpf_sock_addr *ctx, __u8 protocol)
{
	__u64 cookie;

	if (unlikely(protocol != IPPROTO_TCP) && !sm_is_udp_used())
		return;
	cookie = sm_given_cookie(ctx, protocol);
	if (unlikely(cookie))
		sm_conn_forget(cookie);
}

/* connect() to the service `d`. */
static __always_inline int sm_connect_to(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					 const struct sm_descriptor *d)
{
	struct sm_conn_home home;
	struct sm_target target;
	struct sm_choice choice;
	__u64 sampled_at;
	int verdict;

	sm_conn_ask(bpf_get_socket_cookie(ctx), &home);
	sampled_at = sm_sample_begins(home.cookie);
	if (unlikely(d->range_bits))
		sm_ask(ctx, sm_ip_high(&to->addr), sm_ip_low(&to->addr));
	verdict = sm_redirect_to(ctx, to, d, &choice, &target);
	if (likely(verdict == SM_REWRITTEN)) {
		sm_record(ctx, d, &home, &choice, &target);
		if (unlikely(sampled_at))
			sm_sampled(ctx, d, sampled_at, choice.endpoint_id,
				   sm_sample_how(choice.policy, 0, SM_SELECTION_CONNECT));
		return SM_PROCEED;
	}
	sm_conn_forget(home.cookie);
	if (unlikely(sampled_at))
		sm_sampled(ctx, d, sampled_at, sm_sample_of_none(choice.cluster_id),
			   sm_sample_how(choice.policy, choice.reason, SM_SELECTION_CONNECT));
	return verdict;
}

/* The verdict on a connect() to `to`, as the kernel is told. */
static __always_inline int sm_connect(struct bpf_sock_addr *ctx, const struct sm_dest *to)
{
	const struct sm_descriptor *d;

	if (unlikely(to->protocol != IPPROTO_TCP && to->protocol != IPPROTO_UDP))
		return SM_PROCEED;
	d = sm_service_of(ctx, to);
	if (d)
		return sm_connect_to(ctx, to, d);
	sm_no_record(ctx, to->protocol);
	return SM_PROCEED;
}

SEC("cgroup/connect4")
int sm_connect4(struct bpf_sock_addr *ctx)
{
	const struct sm_dest to = sm_dest4(ctx);

	return sm_connect(ctx, &to);
}

SEC("cgroup/connect6")
int sm_connect6(struct bpf_sock_addr *ctx)
{
	struct sm_dest to = {
		.port_be = (__be16)ctx->user_port,
		.protocol = (__u8)ctx->protocol,
		.socket_family = SM_FAMILY_V6,
	};

	sm_ip_copy(to.addr.word, ctx->user_ip6);
	to.family = sm_ip_is_mapped(&to.addr) ? SM_FAMILY_V4 : SM_FAMILY_V6;
	return sm_connect(ctx, &to);
}

#endif /* SOCKMESH_HOOK_CONNECT_H */
