/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* recvmsg() of UDP that asks for the source: it sees the VIP that the socket sent to. */
#ifndef SOCKMESH_HOOK_RECVMSG_H
#define SOCKMESH_HOOK_RECVMSG_H

#include "hooks/datagram.h"

/* An answer is a success of the endpoint. Once a second is enough for outlier detection. */
static __always_inline void sm_flow_answered(struct sm_flow_source *source,
					     const struct sm_flow_address *from)
{
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	struct sm_endpoint_stats *stats;
	struct sm_endpoint *endpoint;
	__u32 id = READ_ONCE(source->endpoint_id);

	if (likely(source->answered_ns && now_ns - source->answered_ns < SM_SECOND_NS))
		return;
	endpoint = endpoints_at(id);
	/* The id may belong to another endpoint by now. */
	if (!endpoint || !sm_endpoint_is(endpoint, from->addr_be, from->port_be))
		return;
	stats = sm_endpoint_stats(id);
	if (stats && !source->answered_ns)
		SM_ADD(stats->established, 1);
	source->answered_ns = now_ns;
	sm_endpoint_served(id, sm_client_of_caller(), now_ns);
}

/* The VIP to which the socket sent what `from` answers. 0: none. */
SM_VERIFIED_ONCE int sm_vip_of_source(struct bpf_sock_addr *ctx, __u64 cookie,
				      const struct sm_flow_address *from,
				      struct sm_flow_address *vip)
{
	struct bpf_sock *sk = ctx->sk;
	struct sm_connection *record;
	struct sm_flow_source *source;
	struct sm_flow_key key;

	if (!from || !vip)
		return 0;
	if (sk && sk->state == BPF_TCP_ESTABLISHED) {
		record = sm_datagram_to(cookie, from);
		if (record) {
			if (record->state == SM_CONN_DATAGRAM)
				sm_datagram_answered(record);
			sm_ip_copy(vip->addr_be, record->vip_be);
			vip->port_be = record->vip_port_be;
			return 1;
		}
	}
	sm_flow_key_of(&key, cookie, from->addr_be, from->port_be);
	source = bpf_map_lookup_elem(&flow_sources, &key);
	if (!source || !source->endpoint_id)
		return 0;
	*vip = source->vip;
	if (READ_ONCE(source->cookie) != cookie)
		return 0;
	sm_flow_answered(source, from);
	return 1;
}

/* The cookie of a socket that may have sent to a VIP. 0: it has not. */
static __always_inline __u64 sm_receiver(struct bpf_sock_addr *ctx)
{
	return unlikely(sm_is_udp_used()) ? sm_given_cookie(ctx, IPPROTO_UDP) : 0;
}

static __always_inline void sm_receive4(struct bpf_sock_addr *ctx, __u64 cookie)
{
	const struct sm_flow_address from = {
		.addr_be = {0, 0, bpf_htonl(0xffff), ctx->user_ip4},
		.port_be = (__be16)ctx->user_port,
	};
	struct sm_flow_address vip = {};

	if (sm_vip_of_source(ctx, cookie, &from, &vip)) {
		ctx->user_ip4 = vip.addr_be[3];
		ctx->user_port = vip.port_be;
	}
}

SEC("cgroup/recvmsg4")
int sm_recvmsg4(struct bpf_sock_addr *ctx)
{
	__u64 cookie = sm_receiver(ctx);

	if (cookie)
		sm_receive4(ctx, cookie);
	return SM_PROCEED;
}

static __always_inline void sm_receive6(struct bpf_sock_addr *ctx, __u64 cookie)
{
	struct sm_flow_address from = {.port_be = (__be16)ctx->user_port};
	struct sm_flow_address vip = {};

	sm_ip_copy(from.addr_be, ctx->user_ip6);
	if (sm_vip_of_source(ctx, cookie, &from, &vip)) {
		sm_ip_copy(ctx->user_ip6, vip.addr_be);
		ctx->user_port = vip.port_be;
	}
}

/* Also an IPv6 socket that receives from an IPv4 address. */
SEC("cgroup/recvmsg6")
int sm_recvmsg6(struct bpf_sock_addr *ctx)
{
	__u64 cookie = sm_receiver(ctx);

	if (cookie)
		sm_receive6(ctx, cookie);
	return SM_PROCEED;
}

#endif /* SOCKMESH_HOOK_RECVMSG_H */
