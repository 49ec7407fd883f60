/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sendmsg() of UDP that names an address: a VIP becomes an endpoint. A socket's datagrams to one
 * VIP stay on one endpoint as long as it may be used; see flow.h. */
#ifndef SOCKMESH_HOOK_SENDMSG_H
#define SOCKMESH_HOOK_SENDMSG_H

#include "hooks/datagram.h"
#include "hooks/redirect.h"

/* What sm_send_connected() says of a socket's datagram. */
#define SM_SEND_UNKNOWN 0 /* the same as on a socket that is not connected */
#define SM_SEND_ON	1 /* it goes where it names */
#define SM_SEND_TO_PEER 2 /* it goes to the socket's peer */

/* The functions that the verifier looks at once take no part in what the context says: they do not
 * know which of its addresses the hook may touch. */

/* The peer of a connected socket. Each word by a load of its own: the verifier takes no arithmetic
 * on this pointer. */
static __always_inline void sm_peer_of(struct bpf_sock *sk, __u8 socket_family,
				       struct sm_flow_address *peer)
{
	__be32 four = READ_ONCE(sk->dst_ip4), last = READ_ONCE(sk->dst_ip6[3]);

	peer->port_be = sk->dst_port;
	peer->pad = 0;
	if (socket_family == SM_FAMILY_V4) {
		peer->addr_be[0] = 0;
		peer->addr_be[1] = 0;
		peer->addr_be[2] = bpf_htonl(0xffff);
		peer->addr_be[3] = four;
	} else {
		peer->addr_be[0] = READ_ONCE(sk->dst_ip6[0]);
		peer->addr_be[1] = READ_ONCE(sk->dst_ip6[1]);
		peer->addr_be[2] = READ_ONCE(sk->dst_ip6[2]);
		peer->addr_be[3] = last;
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

/* The address at which sm_rewrite() sends the socket to the endpoint, as the key of an answer's
 * source. */
static __always_inline void sm_source_of(const struct sm_endpoint *endpoint, __u8 family,
					 __u64 cookie, struct sm_flow_key *source)
{
	if (sm_takes_other(endpoint, family))
		sm_flow_key_of(source, cookie, endpoint->other_addr_be, endpoint->other_port_be);
	else
		sm_flow_key_of(source, cookie, endpoint->addr_be, endpoint->port_be);
}

/* The endpoint of the flow that the socket has to the VIP `to`. 0: it has none that may be used.
 * The memory of the flow may belong to another one by now: what is read of it is checked. */
SM_VERIFIED_ONCE __u32 sm_follow_flow(const struct sm_dest *to, __u64 cookie)
{
	const struct sm_descriptor *d;
	struct sm_endpoint *endpoint;
	struct sm_flow_key key;
	struct sm_flow *flow;
	__u32 endpoint_id;

	if (!to)
		return 0;
	sm_flow_key_of(&key, cookie, to->addr.word, to->port_be);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return 0;
	d = sm_flow_service(flow, to);
	d = d ? sm_reach_one(d, to->family) : NULL;
	endpoint_id = READ_ONCE(flow->last.endpoint_id);
	if (!d || !sm_flow_holds(d, &flow->last))
		return 0;
	if (unlikely(READ_ONCE(flow->cookie) != cookie ||
		     !sm_flow_is_for(&flow->vip, to->addr.word, to->port_be)))
		return 0;
	if (likely(!sm_flow_needs_refresh(flow)))
		return endpoint_id;
	endpoint = endpoints_at(endpoint_id);
	if (!endpoint)
		return 0;
	sm_source_of(endpoint, to->family, cookie, &key);
	sm_flow_refresh(flow, &key);
	return endpoint_id;
}

/* Remembers that the socket's sends to `to`, which is of this service, go to this endpoint. */
SM_VERIFIED_ONCE int sm_remember_flow(const struct sm_dest *to, __u64 cookie, __u32 endpoint_id,
				      __u32 service_id)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(endpoint_id);
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);
	struct sm_flow_address vip = {};
	struct sm_flow_key source;

	if (!to || !endpoint)
		return 0;
	if (stats)
		SM_ADD(stats->selected, 1);
	sm_ip_copy(vip.addr_be, to->addr.word);
	vip.port_be = to->port_be;
	sm_source_of(endpoint, to->family, cookie, &source);
	sm_flow_make(&vip, &source, endpoint_id, service_id);
	return 0;
}

/* What becomes of a datagram to `to` of a connected socket: SM_SEND_*. SM_SEND_TO_PEER fills
 * `peer`. */
SM_VERIFIED_ONCE int sm_send_connected(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				       __u64 cookie, struct sm_flow_address *peer)
{
	struct bpf_sock *sk = ctx->sk;

	if (!to || !peer || !sk)
		return SM_SEND_UNKNOWN;
	sm_peer_of(sk, to->socket_family, peer);
	/* The kernel names the peer itself with each send() of an IPv6 socket that is connected to
	 * an IPv4 address. */
	if (sm_flow_is_for(peer, to->addr.word, to->port_be))
		return SM_SEND_ON;
	/* The socket takes datagrams from its peer alone. */
	return sm_is_connected_by(cookie, to, peer) ? SM_SEND_TO_PEER : SM_SEND_UNKNOWN;
}

/* The verdict of sm_send_connected(), carried out. 0: it has none. */
static __always_inline int sm_send_to_peer(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					   const struct sm_dest *asked, __u64 cookie)
{
	struct sm_flow_address peer;
	int verdict;

	if (likely(!ctx->sk || ctx->sk->state != BPF_TCP_ESTABLISHED))
		return 0;
	__builtin_memset(&peer, 0, sizeof(peer));
	verdict = sm_send_connected(ctx, asked, cookie, &peer);
	if (verdict != SM_SEND_TO_PEER)
		return verdict == SM_SEND_ON;
	if (to->socket_family == SM_FAMILY_V4)
		ctx->user_ip4 = peer.addr_be[3];
	else
		sm_ip_copy(ctx->user_ip6, peer.addr_be);
	ctx->user_port = peer.port_be;
	return 1;
}

/* Sends to the endpoint of the flow that the socket has. 0: the endpoint leads nowhere. */
static __always_inline int sm_send_on_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					   __u32 endpoint_id)
{
	struct sm_endpoint *endpoint = endpoints_at(endpoint_id);

	return endpoint && sm_rewrite(ctx, to, endpoint, to->family);
}

/* Chooses an endpoint of the service `d`, and remembers it. */
static __always_inline int sm_begin_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					 const struct sm_dest *asked, const struct sm_descriptor *d,
					 __u64 cookie)
{
	struct sm_target target;
	__u64 sampled_at = sm_sample_begins(cookie);
	struct sm_choice choice;
	int verdict = sm_redirect_to(ctx, to, d, &choice, &target);

	if (likely(verdict == SM_REWRITTEN)) {
		sm_remember_flow(asked, cookie, choice.endpoint_id, d->service_id);
		if (unlikely(sampled_at))
			sm_sampled(ctx, d, sampled_at, choice.endpoint_id,
				   sm_sample_how(choice.policy, 0, SM_SELECTION_FLOW));
		return SM_PROCEED;
	}
	if (unlikely(sampled_at))
		sm_sampled(ctx, d, sampled_at, sm_sample_of_none(choice.cluster_id),
			   sm_sample_how(choice.policy, choice.reason, SM_SELECTION_FLOW));
	return verdict;
}

/* The cookie of a socket that sends to what may be a VIP. From Linux 6.2 on it costs no call. 0: it
 * has none, and so it has no flow. */
static __always_inline __u64 sm_sender(struct bpf_sock_addr *ctx)
{
	return sm_has_casts() ? sm_given_cookie(ctx, IPPROTO_UDP) : bpf_get_socket_cookie(ctx);
}

/* A datagram to what may be a VIP. The flow is looked up before the service, because it knows the
 * service. */
static __always_inline int sm_send_to(struct bpf_sock_addr *ctx, const struct sm_dest *to)
{
	/* For the calls. Of `to` the compiler goes on knowing the families, which decide what of
	 * the context may be touched. */
	const struct sm_dest asked = *to;
	__u64 cookie = sm_sender(ctx);
	__u32 endpoint_id = likely(cookie) ? sm_follow_flow(&asked, cookie) : 0;
	const struct sm_descriptor *d = NULL;

	if (unlikely(!endpoint_id))
		d = sm_lookup_vip(to);
	if ((!endpoint_id && !d) || !sm_counts_for(ctx))
		return SM_PROCEED;
	if (unlikely(!cookie))
		cookie = bpf_get_socket_cookie(ctx);
	if (sm_send_to_peer(ctx, to, &asked, cookie))
		return SM_PROCEED;
	if (unlikely(!endpoint_id))
		return sm_begin_flow(ctx, to, &asked, d, cookie);
	sm_send_on_flow(ctx, to, endpoint_id);
	return SM_PROCEED;
}

static __always_inline int sm_send(struct bpf_sock_addr *ctx, const struct sm_dest *to)
{
	return likely(!sm_may_be_vip(to)) ? SM_PROCEED : sm_send_to(ctx, to);
}

/* Also an IPv6 socket that sends to an IPv4 address. */
SEC("cgroup/sendmsg4")
int sm_sendmsg4(struct bpf_sock_addr *ctx)
{
	const struct sm_dest to = sm_dest4(ctx);

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

#endif /* SOCKMESH_HOOK_SENDMSG_H */
