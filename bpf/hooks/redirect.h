/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one way from a VIP to an endpoint, for IPv4, IPv6 and IPv4 through an IPv6 socket. A hook
 * says where its socket wants to go (struct sm_dest), asks sm_service_of(), and calls
 * sm_redirect_to() if there is a service.
 */
#ifndef SOCKMESH_REDIRECT_H
#define SOCKMESH_REDIRECT_H

#include "conn/stats.h"
#include "select/affinity.h"
#include "select/choice.h"
#include "select/lookup.h"
#include "select/reach.h"
#include "select/sample.h"
#include "select/served.h"

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

/* Makes connect() fail, and counts it for the cluster. */
SM_VERIFIED_ONCE int sm_refuse(__u32 cluster_id, __u32 reason)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(cluster_id);

	if (stats)
		SM_ADD(stats->refused_no_endpoints, 1);
	if (reason == SM_REASON_NO_REACHABLE) {
		sm_count(SM_COUNTER_FAMILY_MISMATCH);
		bpf_set_retval(-EAFNOSUPPORT);
	} else {
		bpf_set_retval(-ECONNREFUSED);
	}
	return 0;
}

/* Counts a connection that goes where it wanted to. */
SM_VERIFIED_ONCE int sm_leave_alone(__u32 cluster_id)
{
	struct sm_cluster_stats *stats = sm_cluster_stats(cluster_id);

	if (stats)
		SM_ADD(stats->left_alone, 1);
	return 0;
}

/* The verdict on a socket that goes to no endpoint. */
static __always_inline int sm_without_target(const struct sm_choice *choice)
{
	if (choice->policy == SM_POLICY_REFUSE)
		sm_refuse(choice->cluster_id, choice->reason);
	else
		sm_leave_alone(choice->cluster_id);
	return choice->policy == SM_POLICY_REFUSE ? SM_DENY : SM_PROCEED;
}

/* The address that the socket is bound to; none where it is bound to none of the VIP's family. */
static __always_inline void sm_bound_address(struct bpf_sock *sk, __u32 family, __u32 socket_family,
					     struct sm_ip *ip)
{
	/* Each word by a load of its own: the verifier takes no arithmetic on this pointer. */
	__be32 four = READ_ONCE(sk->src_ip4), mapped = READ_ONCE(sk->src_ip6[3]);

	if (socket_family == SM_FAMILY_V4)
		sm_ip_set_mapped(ip, four);
	else if (family == SM_FAMILY_V4)
		sm_ip_set_mapped(ip, mapped);
	else
		sm_ip_copy(ip->word, sk->src_ip6);
}

/* The hash of the client's address. Apart, because the address as text needs stack. */
SM_VERIFIED_ONCE int sm_hash_client(struct sm_client *client, int v6)
{
	if (client)
		client->hash = v6 ? sm_hash6(&client->ip) : sm_hash4(client->ip.word[3]);
	return 0;
}

/* Who connects, for services that want to know. `client` is all zero before. */
SM_VERIFIED_ONCE int sm_client_of(struct bpf_sock_addr *ctx, const struct sm_descriptor *d,
				  __u32 socket_family, struct sm_client *client)
{
	struct bpf_sock *sk = ctx->sk;
	int v6;

	if (!d || !client || !sk)
		return 0;
	v6 = d->family == SM_FAMILY_V6;
	sm_bound_address(sk, d->family, socket_family, &client->ip);
	if (!sm_ip_is_set(&client->ip))
		sm_client_of_netns(ctx, v6, client);
	else if (d->flags & SM_DESCRIPTOR_HASH_SOURCE)
		sm_hash_client(client, v6);
	return 0;
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
	int hashes = !!(d->flags & SM_DESCRIPTOR_HASH_SOURCE);

	sm_select(d, hash, hashes && hash, choice);
	if (unlikely(hashes && !hash) && sm_policy_hashes(choice->policy))
		sm_count_fallback(choice->cluster_id);
}

/* Where a connection to any service goes: to the client's last endpoint, or where the policy
 * says. */
SM_VERIFIED_ONCE int sm_choose(const struct sm_descriptor *d, const struct sm_client *client,
			       struct sm_choice *choice)
{
	__u64 found;
	int affine;

	if (!d || !client || !choice)
		return 0;
	affine = d->affinity_s && sm_ip_is_set(&client->ip);
	if (affine) {
		found = sm_affinity_find(d, client);
		if (found && !sm_affinity_is_out((__u32)found) &&
		    sm_affinity_choose(d, found, choice))
			return 0;
	}
	sm_choose_by_policy(d, client->hash, choice);
	if (affine && choice->endpoint_id)
		sm_affinity_keep(d, client, choice->endpoint_id, sm_client_of_caller());
	return 0;
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

/* Whether the time is past `stale_from_ns`. */
SM_VERIFIED_ONCE int sm_is_past(__u64 stale_from_ns)
{
	if (bpf_ktime_get_ns() < stale_from_ns)
		return 0;
	sm_count(SM_COUNTER_LEFT_STALE);
	return 1;
}

/* Whether the agent has not heard the control plane for too long, or is dead. Without a limit this
 * costs one read of a line that sm_is_agent() has read. */
static __always_inline int sm_is_stale(void)
{
	const struct sm_globals *globals = sm_globals();
	__u64 from_ns = globals ? READ_ONCE(globals->stale_from_ns) : 0;

	return unlikely(from_ns) && sm_is_past(from_ns);
}

/* Whether services count for the socket: not for the agent, not when they are stale, and not for a
 * pod that is left alone. */
static __always_inline int sm_counts_for(struct bpf_sock_addr *ctx)
{
	return likely(!sm_is_agent()) && likely(!sm_is_stale()) && likely(sm_is_served(ctx));
}

/* The service that the socket wants to go to; NULL: none, or none that counts for it. */
static __always_inline const struct sm_descriptor *sm_service_of(struct bpf_sock_addr *ctx,
								 const struct sm_dest *to)
{
	const struct sm_descriptor *d = sm_lookup(to);

	return d && sm_counts_for(ctx) ? d : NULL;
}

/* The descriptor for what this socket reaches; NULL: the tables are broken. */
static __always_inline const struct sm_descriptor *
sm_reach_of(struct bpf_sock_addr *ctx, const struct sm_dest *to, struct sm_reach *reach)
{
	if (to->socket_family == SM_FAMILY_V4)
		sm_reach_ipv4(reach);
	else if (to->keeps_family)
		sm_reach_ipv6(reach);
	else
		sm_reach_of_ipv6_socket(ctx->sk, reach);
	return reach->descriptor;
}

/* Whether the choice depends on who connects. */
static __always_inline int sm_asks_for_client(const struct sm_descriptor *d)
{
	return d->flags & SM_DESCRIPTOR_HASH_SOURCE || d->affinity_s;
}

/* sm_client_of(), sm_choose(), and the target. 0: the socket goes to no endpoint, and `choice` says
 * why. */
static __always_inline int sm_choose_target(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					    const struct sm_descriptor *d, struct sm_choice *choice,
					    struct sm_target *target)
{
	struct sm_choice chosen; /* apart, so that the straight path needs no memory for its own */
	struct sm_client client;

	if (likely(sm_select_plain(d, choice, target)))
		return likely(choice->endpoint_id);
	/* Two calls, not one in the other: the stacks of both together are too much. */
	__builtin_memset(&client, 0, sizeof(client));
	__builtin_memset(&chosen, 0, sizeof(chosen));
	if (sm_asks_for_client(d))
		sm_client_of(ctx, d, to->socket_family, &client);
	sm_choose(d, &client, &chosen);
	*choice = chosen;
	return sm_target_of(choice->endpoint_id, target);
}

/*
 * Sends the socket to an endpoint of the service `d`, or refuses, or leaves the socket alone.
 * SM_DENY, SM_PROCEED, or SM_REWRITTEN: then `target` says whereto. `choice` says why.
 */
static __always_inline int sm_redirect_to(struct bpf_sock_addr *ctx, const struct sm_dest *to,
					  const struct sm_descriptor *d, struct sm_choice *choice,
					  struct sm_target *target)
{
	struct sm_reach reach = {.descriptor = d, .family = to->family};

	d = sm_reach_of(ctx, to, &reach);
	if (unlikely(!d)) {
		sm_choice_set_none(choice, SM_NONE, SM_POLICY_LEAVE_ALONE, SM_REASON_NONE);
		return SM_PROCEED;
	}
	if (unlikely(!sm_choose_target(ctx, to, d, choice, target)))
		return sm_without_target(choice);
	if (unlikely(!sm_rewrite(ctx, to, target->endpoint, reach.family))) {
		sm_choice_set_none(choice, choice->cluster_id, SM_POLICY_REFUSE,
				   SM_REASON_NO_REACHABLE);
		return sm_without_target(choice);
	}
	return SM_REWRITTEN;
}

#endif /* SOCKMESH_REDIRECT_H */
