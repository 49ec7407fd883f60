/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* getpeername(): the application sees the VIP that it asked for. */
#ifndef SOCKMESH_HOOK_GETPEERNAME_H
#define SOCKMESH_HOOK_GETPEERNAME_H

#include "conn/asked.h"
#include "conn/record.h"
#include "select/reach.h"

/* The cookie of the socket that has the record, for a socket whose peer is asked for. */
static __always_inline __u64 sm_peers_cookie(struct bpf_sock_addr *ctx)
{
	const struct bpf_sock_addr_kern *kernel = (const void *)ctx;

	if (likely(ctx->protocol == IPPROTO_TCP))
		return sm_given_cookie(ctx, IPPROTO_TCP);
	if (ctx->protocol == IPPROTO_UDP)
		return sm_is_udp_used() ? sm_given_cookie(ctx, IPPROTO_UDP) : 0;
	if (ctx->protocol != IPPROTO_MPTCP)
		return 0;
	return sm_cookie_of(sm_tcp_of(BPF_CORE_READ(kernel, sk), IPPROTO_MPTCP));
}

/*
 * The record for a getpeername(), if the peer still is the endpoint that the record names.
 * connect(AF_UNSPEC) runs no hook that could end the record.
 */
static __always_inline struct sm_connection *sm_conn_of_peer(struct bpf_sock_addr *ctx,
							     const __be32 addr_be[4])
{
	__u64 cookie = sm_peers_cookie(ctx);
	struct sm_endpoint *endpoint;
	struct sm_conn_ref ref;

	if (!cookie)
		return NULL;
	ref = sm_conn_find(cookie);
	if (!ref.record)
		return NULL;
	endpoint = endpoints_at(ref.record->endpoint_id);
	if (!endpoint || !sm_endpoint_is(endpoint, addr_be, (__be16)ctx->user_port))
		return NULL;
	return ref.record;
}

/* The address that the socket of the record asked for. */
static __always_inline const __be32 *sm_asked_address(struct bpf_sock_addr *ctx,
						      const struct sm_connection *record)
{
	const struct sm_asked *kept;

	if (likely(!(record->flags & SM_CONN_OF_RANGE)))
		return record->vip_be;
	kept = sm_asked_of(ctx);
	return kept ? kept->addr_be : record->vip_be;
}

SEC("cgroup/getpeername4")
int sm_getpeername4(struct bpf_sock_addr *ctx)
{
	const __be32 peer[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
	struct sm_connection *record = sm_conn_of_peer(ctx, peer);

	if (record) {
		ctx->user_ip4 = sm_asked_address(ctx, record)[3];
		ctx->user_port = record->vip_port_be;
	}
	return SM_PROCEED;
}

SEC("cgroup/getpeername6")
int sm_getpeername6(struct bpf_sock_addr *ctx)
{
	const __be32 peer[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				ctx->user_ip6[3]};
	struct sm_connection *record = sm_conn_of_peer(ctx, peer);

	if (record) {
		sm_ip_copy(ctx->user_ip6, sm_asked_address(ctx, record));
		ctx->user_port = record->vip_port_be;
	}
	return SM_PROCEED;
}

#endif /* SOCKMESH_HOOK_GETPEERNAME_H */
