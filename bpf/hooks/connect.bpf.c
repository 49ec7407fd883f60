// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * connect(): a VIP becomes an endpoint before the first packet exists. getpeername(): the
 * application sees the VIP it asked for. sock_release: records of sockets that TCP never heard of.
 */
#include "select/affinity.h"
#include "select/lookup.h"
#include "select/reach.h"
#include "select/client_address.h"
#include "conn/untold.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SM_PROCEED   1
#define SM_DENY	     0
/* As SM_PROCEED: the kernel looks at the lowest bit. The socket has a record now. */
#define SM_REWRITTEN 2

/* Our own sockets must not depend on what we wrote into the maps: a stale address of the control
 * plane would keep the agent from the very update that would mend it. */
static __always_inline int sm_is_agent(void)
{
	struct sm_globals *globals = sm_globals();
	struct task_struct *task;

	if (!globals || !globals->agent_tgid)
		return 0;
	task = (struct task_struct *)bpf_get_current_task_btf();
	if ((__u32)task->tgid != globals->agent_tgid)
		return 0;
	/* The start time tells the agent from a later process that was given its number. */
	return task->group_leader->start_boottime == globals->agent_start_ns;
}

static __always_inline int sm_refuse(const struct sm_choice *choice)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(choice->cluster_id);

	if (stats)
		SM_ADD(stats->refused_no_endpoints, 1);
	if (choice->reason == SM_REASON_NO_REACHABLE) {
		sm_count(SM_COUNTER_FAMILY_MISMATCH);
		bpf_set_retval(-EAFNOSUPPORT);
	} else {
		bpf_set_retval(-ECONNREFUSED);
	}
	return SM_DENY;
}

static __always_inline void sm_leave_alone(__u32 cluster_id)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(cluster_id);

	if (stats)
		SM_ADD(stats->left_alone, 1);
}

/* Notes which endpoint this socket goes to. Without a record the connection is balanced all the
 * same, but nobody will know how it turned out. */
static __always_inline void sm_record(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				      const struct sm_choice *choice, __u8 family)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(choice->endpoint_id);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct sm_connection *record = sm_conn_claim(cookie).record;

	if (stats)
		SM_ADD(stats->selected, 1);
	if (unlikely(!record))
		return;
	/* A second connect() on one socket: of the first one TCP did not say how it ended. */
	if (unlikely(record->state != SM_CONN_FREE))
		sm_conn_settle(cookie, 0);
	__builtin_memcpy(record->vip_be, d->addr_be, sizeof(d->addr_be));
	record->vip_port_be = d->port_be;
	record->family = family;
	record->endpoint_id = choice->endpoint_id;
	record->cluster_id = choice->cluster_id;
	record->flags = choice->conn_flags;
	record->connect_at_ns = 0;
	record->netns_cookie = bpf_get_netns_cookie(ctx);
	record->sk = (__u64)(long)ctx->sk;
	WRITE_ONCE(record->state, SM_CONN_PENDING);
	__sync_fetch_and_add(&choice->state->active, 1);
	if (unlikely(choice->conn_flags & SM_CONN_IN_CLUSTER))
		sm_cluster_count(choice->cluster_id, 1);
}

/* The socket's cookie; 0 where it has been given none yet, and then it has no record. */
static __always_inline __u64 sm_given_cookie(struct bpf_sock *sk)
{
	struct sock *tcp = sk ? (struct sock *)bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp ? tcp->__sk_common.skc_cookie.counter : 0;
}

/* This connect() makes no record. The one that an earlier connect() left to the socket ends: the
 * socket's next connection is not that service's. */
static __always_inline void sm_no_record(struct bpf_sock_addr *ctx)
{
	__u64 cookie = sm_given_cookie(ctx->sk);

	if (unlikely(cookie))
		sm_conn_forget(cookie);
}

/* Who connects, for services that want to know. `mapped`: an IPv6 socket on its way to an IPv4
 * address. */
static __always_inline void sm_client_of(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
					 int v6, int mapped, struct sm_client *client)
{
	__u32 hashes = d->flags & SM_DESCRIPTOR_HASH_SOURCE;
	struct bpf_sock *sk = ctx->sk;

	if (!unlikely(hashes || d->affinity_s) || !sk)
		return;
	if (v6 || mapped) {
		struct sm_ip source = {
			.word = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]}};

		if (v6)
			client->ip = source;
		else
			sm_mapped(&client->ip, source.word[3]);
	} else {
		sm_mapped(&client->ip, sk->src_ip4);
	}
	if (!sm_any(&client->ip))
		sm_client_of_netns(sk, bpf_get_netns_cookie(ctx), v6, client);
	else if (hashes)
		client->hash = v6 ? sm_hash6(&client->ip) : sm_hash4(client->ip.word[3]);
}

static __always_inline void sm_count_fallback(__u32 cluster_id)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(cluster_id);

	if (stats)
		SM_ADD(stats->hash_fallback, 1);
}

/* The policy's choice; without a hash of the source's it has chance's. */
static __always_inline void sm_choose_anew(const struct sm_descriptor *d, __u64 hash,
					   struct sm_choice *choice)
{
	int fallback = !hash && (d->flags & SM_DESCRIPTOR_HASH_SOURCE);

	if (!(d->flags & SM_DESCRIPTOR_HASH_SOURCE) || fallback)
		hash = ((__u64)bpf_get_prandom_u32() << 32) | bpf_get_prandom_u32();
	sm_select(d, hash, choice);
	if (unlikely(fallback) &&
	    (choice->policy == SM_POLICY_MAGLEV || choice->policy == SM_POLICY_RING_HASH))
		sm_count_fallback(choice->cluster_id);
}

/* Where this connection goes: where its client went last, or as the policy chooses. */
static __always_inline void sm_choose(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				      int v6, int mapped, struct sm_choice *choice)
{
	struct sm_client client = {};
	__u64 found;
	int affine;

	sm_client_of(ctx, d, v6, mapped, &client);
	affine = d->affinity_s && sm_any(&client.ip);
	if (unlikely(affine)) {
		found = sm_affinity_find(d, &client);
		if (found && sm_affinity_take(d, found, choice))
			return;
	}
	sm_choose_anew(d, client.hash, choice);
	if (unlikely(affine) && choice->endpoint)
		sm_affinity_keep(d, &client, choice->endpoint_id);
}

/* The destination of an IPv6 socket. */
static __always_inline void sm_write_address6(struct bpf_sock_addr *ctx,
					      const struct sm_endpoint *endpoint, __u8 family)
{
	if (sm_takes_other(endpoint, family)) {
		ctx->user_ip6[0] = endpoint->other_addr_be[0];
		ctx->user_ip6[1] = endpoint->other_addr_be[1];
		ctx->user_ip6[2] = endpoint->other_addr_be[2];
		ctx->user_ip6[3] = endpoint->other_addr_be[3];
		ctx->user_port = endpoint->other_port_be;
		return;
	}
	ctx->user_ip6[0] = endpoint->addr_be[0];
	ctx->user_ip6[1] = endpoint->addr_be[1];
	ctx->user_ip6[2] = endpoint->addr_be[2];
	ctx->user_ip6[3] = endpoint->addr_be[3];
	ctx->user_port = endpoint->port_be;
}

/* The destination of an IPv4 socket. 0: the endpoint has no IPv4 address, which only broken tables
 * lead to. */
static __always_inline int sm_write_address4(struct bpf_sock_addr *ctx,
					     const struct sm_endpoint *endpoint)
{
	if (likely(endpoint->family == SM_FAMILY_V4)) {
		ctx->user_ip4 = endpoint->addr_be[3];
		ctx->user_port = endpoint->port_be;
		return 1;
	}
	if (endpoint->other_family != SM_FAMILY_V4)
		return 0;
	ctx->user_ip4 = endpoint->other_addr_be[3];
	ctx->user_port = endpoint->other_port_be;
	return 1;
}

/* IPv4 addresses, also those of IPv6 sockets (v4-mapped). */
static __always_inline int sm_connect_to_v4(struct bpf_sock_addr *ctx, __be32 addr_be, int mapped)
{
	struct sm_frontend4_key key = {
		.addr_be = addr_be,
		.port_be = (__be16)ctx->user_port,
		.protocol = IPPROTO_TCP,
	};
	struct sm_reach reach = {.descriptor = sm_lookup4(&key), .family = SM_FAMILY_V4};
	struct sm_choice choice = {};

	if (!reach.descriptor || unlikely(sm_is_agent()))
		return SM_PROCEED;
	if (mapped)
		sm_reach_of_ipv6_socket(ctx->sk, &reach);
	else
		sm_reach_ipv4(&reach);
	if (unlikely(!reach.descriptor))
		return SM_PROCEED;
	sm_choose(ctx, reach.descriptor, 0, mapped, &choice);
	if (unlikely(choice.policy == SM_POLICY_REFUSE))
		return sm_refuse(&choice);
	if (unlikely(choice.policy == SM_POLICY_LEAVE_ALONE || !choice.endpoint || !choice.state)) {
		sm_leave_alone(choice.cluster_id);
		return SM_PROCEED;
	}
	if (mapped) {
		sm_write_address6(ctx, choice.endpoint, reach.family);
	} else if (unlikely(!sm_write_address4(ctx, choice.endpoint))) {
		choice.reason = SM_REASON_NO_REACHABLE;
		return sm_refuse(&choice);
	}
	sm_record(ctx, reach.descriptor, &choice, mapped ? SM_FAMILY_V6 : SM_FAMILY_V4);
	return SM_REWRITTEN;
}

static __always_inline int sm_connect_to_v6(struct bpf_sock_addr *ctx,
					    const struct sm_frontend6_key *key)
{
	struct sm_reach reach = {.descriptor = sm_lookup6(key), .family = SM_FAMILY_V6};
	struct sm_choice choice = {};

	if (!reach.descriptor || unlikely(sm_is_agent()))
		return SM_PROCEED;
	sm_reach_of_ipv6_socket(ctx->sk, &reach);
	if (unlikely(!reach.descriptor))
		return SM_PROCEED;
	sm_choose(ctx, reach.descriptor, 1, 0, &choice);
	if (unlikely(choice.policy == SM_POLICY_REFUSE))
		return sm_refuse(&choice);
	if (unlikely(choice.policy == SM_POLICY_LEAVE_ALONE || !choice.endpoint || !choice.state)) {
		sm_leave_alone(choice.cluster_id);
		return SM_PROCEED;
	}
	sm_write_address6(ctx, choice.endpoint, reach.family);
	sm_record(ctx, reach.descriptor, &choice, SM_FAMILY_V6);
	return SM_REWRITTEN;
}

/* What the kernel is told, and the last thing that is to be done. */
static __always_inline int sm_verdict(struct bpf_sock_addr *ctx, int verdict)
{
	if (verdict == SM_REWRITTEN)
		return SM_PROCEED;
	sm_no_record(ctx);
	return verdict;
}

SEC("cgroup/connect4")
int sm_connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol != IPPROTO_TCP)
		return SM_PROCEED;
	return sm_verdict(ctx, sm_connect_to_v4(ctx, ctx->user_ip4, 0));
}

SEC("cgroup/connect6")
int sm_connect6(struct bpf_sock_addr *ctx)
{
	struct sm_frontend6_key key = {
		.addr_be = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]},
		.port_be = (__be16)ctx->user_port,
		.protocol = IPPROTO_TCP,
	};

	if (ctx->protocol != IPPROTO_TCP)
		return SM_PROCEED;
	if (!key.addr_be[0] && !key.addr_be[1] && key.addr_be[2] == bpf_htonl(0xffff))
		return sm_verdict(ctx, sm_connect_to_v4(ctx, key.addr_be[3], 1));
	return sm_verdict(ctx, sm_connect_to_v6(ctx, &key));
}

/* The cookie of the socket in which TCP runs, for a socket whose peer is asked for. */
static __always_inline __u64 sm_peers_cookie(struct bpf_sock_addr *ctx)
{
	const struct bpf_sock_addr_kern *kernel = (const void *)ctx;

	if (likely(ctx->protocol == IPPROTO_TCP))
		return sm_given_cookie(ctx->sk);
	if (ctx->protocol != IPPROTO_MPTCP)
		return 0;
	return sm_cookie_of(sm_tcp_of(BPF_CORE_READ(kernel, sk), IPPROTO_MPTCP));
}

/*
 * The record behind a getpeername(), if the peer still is the endpoint that it names:
 * connect(AF_UNSPEC) runs no hook of ours that would tell.
 */
static __always_inline struct sm_connection *sm_peer(struct bpf_sock_addr *ctx,
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

SEC("cgroup/getpeername4")
int sm_getpeername4(struct bpf_sock_addr *ctx)
{
	const __be32 peer[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
	struct sm_connection *record = sm_peer(ctx, peer);

	if (record) {
		ctx->user_ip4 = record->vip_be[3];
		ctx->user_port = record->vip_port_be;
	}
	return SM_PROCEED;
}

SEC("cgroup/getpeername6")
int sm_getpeername6(struct bpf_sock_addr *ctx)
{
	const __be32 peer[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				ctx->user_ip6[3]};
	struct sm_connection *record = sm_peer(ctx, peer);

	if (record) {
		ctx->user_ip6[0] = record->vip_be[0];
		ctx->user_ip6[1] = record->vip_be[1];
		ctx->user_ip6[2] = record->vip_be[2];
		ctx->user_ip6[3] = record->vip_be[3];
		ctx->user_port = record->vip_port_be;
	}
	return SM_PROCEED;
}

/* Whether TCP will not tell us how this connection ends. During a handshake it may do so while we
 * look; if it does not, the sweep ends the record. */
static __always_inline int sm_is_untold(const struct sm_connection *record, const struct sock *sk)
{
	if (record->state == SM_CONN_PENDING)
		return 1;
	return unlikely(!sm_calls_back(sk)) &&
	       (record->state == SM_CONN_ESTABLISHED || !sm_in_handshake(sk));
}

/* The last reference from user space is gone. A record that TCP knows ends when TCP does. */
SEC("cgroup/sock_release")
int sm_sock_release(struct bpf_sock *ctx)
{
	const struct sock *sk = sm_tcp_of(ctx, ctx->protocol);
	__u64 cookie = sm_cookie_of(sk);
	struct sm_conn_ref ref;

	if (!cookie)
		return SM_PROCEED;
	ref = sm_conn_find(cookie);
	if (!ref.record || !sm_is_untold(ref.record, sk))
		return SM_PROCEED;
	sm_conn_settle(cookie, 0);
	sm_conn_free(ref);
	return SM_PROCEED;
}
