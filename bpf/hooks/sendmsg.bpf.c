// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sendmsg() of UDP that names an address: a VIP becomes an endpoint. A socket's datagrams to one
 * VIP stay on one endpoint as long as it may be used; see flow.h. */
#include "datagram.h"
#include "redirect.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* The endpoint of the flow that the socket has to the VIP of `d`. 0: it has none that may be
 * used. */
SM_VERIFIED_ONCE __u32 sm_follow_flow(const struct sm_descriptor *d, __u64 cookie, __u8 family)
{
	struct sm_endpoint *endpoint;
	struct sm_flow_key source;
	struct sm_flow *flow;
	__u32 endpoint_id;

	if (!d)
		return 0;
	flow = sm_flow_find(d, cookie, &endpoint_id);
	if (!flow)
		return 0;
	endpoint = endpoints_at(endpoint_id);
	if (!endpoint)
		return 0;
	sm_source_of(endpoint, family, cookie, &source);
	sm_flow_used(flow, &source);
	return endpoint_id;
}

/* Remembers that the socket's sends to `to` go to this endpoint. */
SM_VERIFIED_ONCE int sm_remember_flow(const struct sm_dest *to, __u64 cookie, __u32 endpoint_id)
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
	sm_flow_make(&vip, &source, endpoint_id);
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

/* Sends on the flow that the socket has. 0: it has none whose endpoint may be used. */
static __always_inline int sm_send_on_flow(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					   const struct sm_descriptor *d, __u64 cookie)
{
	__u32 endpoint_id = sm_follow_flow(d, cookie, to->family);
	struct sm_endpoint *endpoint = endpoint_id ? endpoints_at(endpoint_id) : NULL;

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
		sm_remember_flow(asked, cookie, choice.endpoint_id);
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

static __always_inline int sm_send(struct bpf_sock_addr *ctx, const struct sm_dest *to)
{
	const struct sm_descriptor *d = sm_service_of(ctx, to), *reached;
	struct sm_reach reach = {.descriptor = d, .family = to->family};
	/* For the calls. Of `to` the compiler goes on knowing the families, which decide what of
	 * the context may be touched. */
	const struct sm_dest asked = *to;
	__u64 cookie;

	if (!d)
		return SM_PROCEED;
	cookie = bpf_get_socket_cookie(ctx);
	if (sm_send_to_peer(ctx, to, &asked, cookie))
		return SM_PROCEED;
	reached = sm_reach_of(ctx, to, &reach);
	if (!reached || likely(sm_send_on_flow(ctx, to, reached, cookie)))
		return SM_PROCEED;
	return sm_begin_flow(ctx, to, &asked, d, cookie);
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
