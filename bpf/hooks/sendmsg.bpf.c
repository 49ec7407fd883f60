// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sendmsg() of UDP that names an address: a VIP becomes an endpoint. A socket's datagrams to one
 * VIP stay on one endpoint as long as it may be used; see flow.h. */
#include "datagram.h"
#include "redirect.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Whether the connected socket's peer is `to`. The kernel names the peer itself with each send() of
 * an IPv6 socket that is connected to an IPv4 address. */
static __always_inline int sm_is_peer(const struct sm_flow_address *peer, const struct sm_dest *to)
{
	return sm_flow_is_for(peer, to->addr.word, to->port_be);
}

static __always_inline void sm_peer_of(struct bpf_sock *sk, const struct sm_dest *to,
				       struct sm_flow_address *peer)
{
	peer->port_be = sk->dst_port;
	peer->pad = 0;
	if (to->socket_family == SM_FAMILY_V4) {
		peer->addr_be[0] = 0;
		peer->addr_be[1] = 0;
		peer->addr_be[2] = bpf_htonl(0xffff);
		peer->addr_be[3] = sk->dst_ip4;
	} else {
		sm_ip_copy(peer->addr_be, sk->dst_ip6);
	}
}

/* Whether the socket's record says that it connected to the VIP `to`, and is on `peer` therefore.
 */
static __always_inline int sm_is_connected_by(__u64 cookie, const struct sm_dest *to,
					      const struct sm_flow_address *peer)
{
	struct sm_connection *record = sm_datagram_to(cookie, peer);

	return record && record->vip_port_be == to->port_be &&
	       sm_ip_equal(record->vip_be, to->addr.word);
}

/* Where the context sends now, as the key of an answer's source. */
static __always_inline void sm_source_of(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					 __u64 cookie, struct sm_flow_key *source)
{
	source->cookie = cookie;
	source->port_be = (__be16)ctx->user_port;
	source->pad = 0;
	source->pad2 = 0;
	if (to->socket_family == SM_FAMILY_V4) {
		source->addr_be[0] = 0;
		source->addr_be[1] = 0;
		source->addr_be[2] = bpf_htonl(0xffff);
		source->addr_be[3] = ctx->user_ip4;
	} else {
		sm_ip_copy(source->addr_be, ctx->user_ip6);
	}
}

/* Follows the flow that the socket has. 0: it has none whose endpoint may be used. */
SM_VERIFIED_ONCE int sm_follow_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				    const struct sm_descriptor *d, __u64 cookie)
{
	struct sm_endpoint *endpoint;
	struct sm_flow_key source;
	struct sm_flow *flow;
	__u32 endpoint_id;

	if (!to || !d)
		return 0;
	flow = sm_flow_find(d, cookie, &endpoint_id);
	if (!flow)
		return 0;
	endpoint = endpoints_at(endpoint_id);
	if (!endpoint || !sm_rewrite(ctx, to, endpoint, to->family))
		return 0;
	sm_source_of(ctx, to, cookie, &source);
	sm_flow_used(flow, &source);
	return 1;
}

/* Remembers that the socket's sends to `to` go to this endpoint. */
SM_VERIFIED_ONCE int sm_remember_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				      __u64 cookie, __u32 endpoint_id)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(endpoint_id);
	struct sm_flow_address vip = {};
	struct sm_flow_key source;

	if (!to)
		return 0;
	if (stats)
		SM_ADD(stats->selected, 1);
	sm_ip_copy(vip.addr_be, to->addr.word);
	vip.port_be = to->port_be;
	sm_source_of(ctx, to, cookie, &source);
	sm_flow_make(&vip, &source, endpoint_id);
	return 0;
}

/* Chooses an endpoint of the service `d`, and remembers it. */
static __always_inline int sm_begin_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					 const struct sm_descriptor *d, __u64 cookie)
{
	struct sm_target target;
	struct sm_choice choice;
	int verdict = sm_redirect_to(ctx, to, d, &choice, &target);

	if (verdict != SM_REWRITTEN)
		return verdict;
	sm_remember_flow(ctx, to, cookie, choice.endpoint_id);
	return SM_PROCEED;
}

/* The verdict on a connected socket that names an address. 0: as on any other socket. */
SM_VERIFIED_ONCE int sm_send_connected(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				       __u64 cookie)
{
	struct bpf_sock *sk = ctx->sk;
	struct sm_flow_address peer;

	if (!to || !sk || sk->state != BPF_TCP_ESTABLISHED)
		return 0;
	sm_peer_of(sk, to, &peer);
	if (sm_is_peer(&peer, to))
		return 1;
	/* The socket takes datagrams from its peer alone. */
	if (!sm_is_connected_by(cookie, to, &peer))
		return 0;
	if (to->socket_family == SM_FAMILY_V4)
		ctx->user_ip4 = peer.addr_be[3];
	else
		sm_ip_copy(ctx->user_ip6, peer.addr_be);
	ctx->user_port = peer.port_be;
	return 1;
}

static __always_inline int sm_send(struct bpf_sock_addr *ctx, const struct sm_dest *to)
{
	const struct sm_descriptor *d = sm_service_of(to), *reached;
	struct sm_reach reach = {.descriptor = d, .family = to->family};
	__u64 cookie;

	if (!d)
		return SM_PROCEED;
	cookie = bpf_get_socket_cookie(ctx);
	if (sm_send_connected(ctx, to, cookie))
		return SM_PROCEED;
	reached = sm_reach_of(ctx, to, &reach);
	if (!reached || likely(sm_follow_flow(ctx, to, reached, cookie)))
		return SM_PROCEED;
	return sm_begin_flow(ctx, to, d, cookie);
}

/* Also an IPv6 socket that sends to an IPv4 address. */
SEC("cgroup/sendmsg4")
int sm_sendmsg4(struct bpf_sock_addr *ctx)
{
	const struct sm_dest to = {
		.addr.word = {0, 0, bpf_htonl(0xffff), ctx->user_ip4},
		.port_be = (__be16)ctx->user_port,
		.protocol = (__u8)ctx->protocol,
		.family = SM_FAMILY_V4,
		.socket_family = SM_FAMILY_V4,
	};

	return sm_send(ctx, &to);
}

/* The kernel refuses to send to an IPv4 address from here. */
SEC("cgroup/sendmsg6")
int sm_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct sm_dest to = {
		.port_be = (__be16)ctx->user_port,
		.protocol = (__u8)ctx->protocol,
		.family = SM_FAMILY_V6,
		.socket_family = SM_FAMILY_V6,
		.keeps_family = 1,
	};

	sm_ip_copy(to.addr.word, ctx->user_ip6);
	return sm_send(ctx, &to);
}
