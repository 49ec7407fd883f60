/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one way from a VIP to an endpoint, for IPv4, IPv6 and IPv4 through an IPv6 socket. A hook
 * says where its socket wants to go (struct sm_dest), and calls sm_redirect().
 */
#ifndef SOCKMESH_REDIRECT_H
#define SOCKMESH_REDIRECT_H

#include "conn/stats.h"
#include "select/affinity.h"
#include "select/choice.h"
#include "select/lookup.h"
#include "select/reach.h"

/* A verdict like SM_PROCEED and SM_DENY: proceed to the endpoint, whose address the context has.
 * The hook notes it and returns SM_PROCEED. */
#define SM_REWRITTEN 2

/* The agent's own sockets must not depend on the maps: a stale address of the control plane
 * would keep the agent from the update that corrects it. */
static __always_inline int sm_is_agent(void)
{
	struct sm_globals *globals = sm_globals();
	struct task_struct *task;

	if (!globals || !globals->agent_tgid)
		return 0;
	task = (struct task_struct *)bpf_get_current_task_btf();
	if ((__u32)task->tgid != globals->agent_tgid)
		return 0;
	/* The start time tells the agent from a later process that has the same number. */
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

/* The address that the socket is bound to; none where it is bound to none of the VIP's family. */
static __always_inline void sm_bound_address(struct bpf_sock *sk, const struct sm_dest *to,
					     struct sm_ip *ip)
{
	if (to->socket_family == SM_FAMILY_V4)
		sm_ip_set_mapped(ip, sk->src_ip4);
	else if (to->family == SM_FAMILY_V4)
		sm_ip_set_mapped(ip, sk->src_ip6[3]);
	else
		sm_ip_copy(ip->word, sk->src_ip6);
}

/* Who connects, for services that want to know. */
static __always_inline void sm_client_of(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					 const struct sm_descriptor *d, struct sm_client *client)
{
	__u32 hashes = d->flags & SM_DESCRIPTOR_HASH_SOURCE;
	int v6 = to->family == SM_FAMILY_V6;
	struct bpf_sock *sk = ctx->sk;

	if (!unlikely(hashes || d->affinity_s) || !sk)
		return;
	sm_bound_address(sk, to, &client->ip);
	if (!sm_ip_is_set(&client->ip))
		sm_client_of_netns(ctx, bpf_get_netns_cookie(ctx), v6, client);
	else if (hashes)
		client->hash = v6 ? sm_hash6(&client->ip) : sm_hash4(client->ip.word[3]);
}

static __always_inline void sm_count_fallback(__u32 cluster_id)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(cluster_id);

	if (stats)
		SM_ADD(stats->hash_fallback, 1);
}

/* Asks the policy. A service that hashes the client's address gets a random hash where the address
 * is not known. */
static __always_inline void sm_choose_by_policy(const struct sm_descriptor *d, __u64 hash,
						struct sm_choice *choice)
{
	int fallback = !hash && (d->flags & SM_DESCRIPTOR_HASH_SOURCE);

	if (!(d->flags & SM_DESCRIPTOR_HASH_SOURCE) || fallback)
		hash = ((__u64)bpf_get_prandom_u32() << 32) | bpf_get_prandom_u32();
	sm_select(d, hash, choice);
	if (unlikely(fallback) && sm_policy_hashes(choice->policy))
		sm_count_fallback(choice->cluster_id);
}

/* Where this connection goes: to the client's last endpoint, or where the policy says. */
static __always_inline void sm_choose(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				      const struct sm_descriptor *d, struct sm_choice *choice)
{
	struct sm_client client = {};
	__u64 found;
	int affine;

	sm_client_of(ctx, to, d, &client);
	affine = d->affinity_s && sm_ip_is_set(&client.ip);
	if (unlikely(affine)) {
		found = sm_affinity_find(d, &client);
		if (found && sm_affinity_choose(d, found, choice))
			return;
	}
	sm_choose_by_policy(d, client.hash, choice);
	if (unlikely(affine) && choice->endpoint)
		sm_affinity_keep(d, &client, choice->endpoint_id);
}

/* The destination of an IPv6 socket. */
static __always_inline void sm_write_address6(struct bpf_sock_addr *ctx,
					      const struct sm_endpoint *endpoint, __u8 family)
{
	if (sm_takes_other(endpoint, family)) {
		sm_ip_copy(ctx->user_ip6, endpoint->other_addr_be);
		ctx->user_port = endpoint->other_port_be;
		return;
	}
	sm_ip_copy(ctx->user_ip6, endpoint->addr_be);
	ctx->user_port = endpoint->port_be;
}

/* The destination of an IPv4 socket. 0: the endpoint has no IPv4 address, which happens only
 * with broken tables. */
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

/* Sends the socket to the endpoint's address of `family`; 0: see sm_write_address4(). */
static __always_inline int sm_rewrite(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				      const struct sm_endpoint *endpoint, __u8 family)
{
	if (to->socket_family == SM_FAMILY_V4)
		return sm_write_address4(ctx, endpoint);
	sm_write_address6(ctx, endpoint, family);
	return 1;
}

/*
 * Looks up where the socket wants to go, chooses, and refuses, leaves alone or rewrites. SM_DENY,
 * SM_PROCEED, or SM_REWRITTEN: then `choice` says whereto.
 */
static __always_inline int sm_redirect(struct bpf_sock_addr *ctx, const struct sm_dest *to,
				       struct sm_choice *choice)
{
	struct sm_reach reach = {.descriptor = sm_lookup(to), .family = to->family};

	if (!reach.descriptor || unlikely(sm_is_agent()))
		return SM_PROCEED;
	if (to->socket_family == SM_FAMILY_V4)
		sm_reach_ipv4(&reach);
	else if (to->keeps_family)
		sm_reach_ipv6(&reach);
	else
		sm_reach_of_ipv6_socket(ctx->sk, &reach);
	if (unlikely(!reach.descriptor))
		return SM_PROCEED;
	sm_choose(ctx, to, reach.descriptor, choice);
	if (unlikely(choice->policy == SM_POLICY_REFUSE))
		return sm_refuse(choice);
	if (unlikely(choice->policy == SM_POLICY_LEAVE_ALONE || !choice->endpoint ||
		     !choice->state)) {
		sm_leave_alone(choice->cluster_id);
		return SM_PROCEED;
	}
	if (unlikely(!sm_rewrite(ctx, to, choice->endpoint, reach.family))) {
		choice->reason = SM_REASON_NO_REACHABLE;
		return sm_refuse(choice);
	}
	return SM_REWRITTEN;
}

#endif /* SOCKMESH_REDIRECT_H */
