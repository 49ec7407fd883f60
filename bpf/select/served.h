/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether the pod that connects is served at all. It is asked after a VIP was found, so other
 * connects pay nothing. Where there are no rules it is one word, which the hook reads anyway.
 *
 * In this order: a rule that leaves the pod out, a rule that lets it in, a sidecar proxy of its
 * own, the default. The verdict on a network namespace and a cgroup is kept for about a second, on
 * each CPU, and until the rules change.
 */
#ifndef SOCKMESH_SERVED_H
#define SOCKMESH_SERVED_H

#include "maps.h"

/* A sidecar that starts is noticed after that time: 0.26 to 2.6 seconds, by the kernel's HZ. */
#define SM_VERDICT_JIFFIES 256

#define SM_MAX_CGROUP_LEVEL 64

#define SM_RULE_OUT (1 << 0)
#define SM_RULE_IN  (1 << 1)

/* What the rule of the network namespace says: SM_RULE_*; 0: there is none. */
static __always_inline int sm_netns_rule(__u64 netns_cookie, __u32 inode)
{
	struct sm_served_key key = {.id = inode, .kind = SM_SERVED_NETNS};
	struct sm_served_rule *rule = bpf_map_lookup_elem(&served, &key);
	__u64 known;

	if (!rule)
		return 0;
	known = READ_ONCE(rule->netns_cookie);
	if (!known)
		WRITE_ONCE(rule->netns_cookie, netns_cookie);
	else if (known != netns_cookie)
		return 0;
	return rule->let_in ? SM_RULE_IN : SM_RULE_OUT;
}

/* What the rule of the process's ancestor cgroup at this level says: SM_RULE_*; 0: there is none.
 * -1: the process has no cgroup that deep. A function of its own, so that the verifier does not
 * follow what each level may say through all levels. */
SM_VERIFIED_ONCE int sm_cgroup_rule(__u32 level)
{
	struct sm_served_key key = {.kind = SM_SERVED_CGROUP};
	struct sm_served_rule *rule;

	key.id = bpf_get_current_ancestor_cgroup_id(level);
	if (!key.id)
		return -1;
	rule = bpf_map_lookup_elem(&served, &key);
	if (!rule)
		return 0;
	return rule->let_in ? SM_RULE_IN : SM_RULE_OUT;
}

/* What the rules of the process's cgroup and of those above it say: SM_RULE_*. */
static __always_inline int sm_cgroup_rules(void)
{
	int found = 0;

	for (__u32 level = 0; level < SM_MAX_CGROUP_LEVEL; level++) {
		int rule = sm_cgroup_rule(level);

		if (rule < 0)
			break;
		found |= rule;
	}
	return found;
}

static __always_inline int sm_takes(struct bpf_sock_addr *ctx, struct bpf_sock_tuple *to,
				    __u32 size)
{
	struct bpf_sock *sk = bpf_sk_lookup_tcp(ctx, to, size, BPF_F_CURRENT_NETNS, 0);
	int takes;

	if (!sk)
		return 0;
	takes = sk->state == BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return takes;
}

/* Whether something in the socket's network namespace listens on this port of loopback. A function
 * of its own, so that the verifier does not follow the ways through all ports of a sidecar. */
SM_VERIFIED_ONCE int sm_listens(struct bpf_sock_addr *ctx, __u16 port)
{
	struct bpf_sock_tuple to = {};

	to.ipv4.daddr = bpf_htonl(0x7f000001);
	to.ipv4.dport = bpf_htons(port);
	if (sm_takes(ctx, &to, sizeof(to.ipv4)))
		return 1;
	__builtin_memset(&to, 0, sizeof(to));
	to.ipv6.daddr[3] = bpf_htonl(1);
	to.ipv6.dport = bpf_htons(port);
	return sm_takes(ctx, &to, sizeof(to.ipv6));
}

/* Whether all ports of the `index`th kind of sidecar have a listener. -1: there is no such kind. */
SM_VERIFIED_ONCE int sm_sidecar_listens(struct bpf_sock_addr *ctx, __u32 index)
{
	struct sm_served_key key = {.id = index, .kind = SM_SERVED_SIDECAR};
	struct sm_served_rule *rule = bpf_map_lookup_elem(&served, &key);
	int listens = 0;

	if (!rule)
		return -1;
	/* All pods on the host's network share the agent's namespace. None of them may speak for
	 * the others. */
	if (rule->netns_cookie == bpf_get_netns_cookie(ctx))
		return 0;
	for (int i = 0; i < SM_SIDECAR_PORTS; i++) {
		__u16 port = rule->ports[i];

		if (!port)
			break;
		if (!sm_listens(ctx, port))
			return 0;
		listens = 1;
	}
	return listens;
}

static __always_inline int sm_has_sidecar(struct bpf_sock_addr *ctx)
{
	for (__u32 i = 0; i < SM_MAX_SIDECARS; i++) {
		int listens = sm_sidecar_listens(ctx, i);

		if (listens)
			return listens > 0;
	}
	return 0;
}

/* enum sm_unserved_reason of the process and the namespace of its socket. */
SM_VERIFIED_ONCE int sm_judge(struct bpf_sock_addr *ctx, __u64 netns_cookie, __u32 inode,
			      __u32 flags)
{
	int rules = 0;

	if (flags & SM_SERVED_BY_NETNS)
		rules |= sm_netns_rule(netns_cookie, inode);
	if (flags & SM_SERVED_BY_CGROUP)
		rules |= sm_cgroup_rules();
	if (rules & SM_RULE_OUT)
		return SM_UNSERVED_LEFT_OUT;
	if (rules & SM_RULE_IN)
		return SM_UNSERVED_NOT;
	if ((flags & SM_SERVED_NOT_SIDECARS) && sm_has_sidecar(ctx))
		return SM_UNSERVED_SIDECAR;
	return flags & SM_SERVED_NOT_BY_DEFAULT ? SM_UNSERVED_DEFAULT : SM_UNSERVED_NOT;
}

/* Tells people. */
static __always_inline void sm_note_unserved(__u64 netns_cookie, __u32 inode, __u32 reason)
{
	struct sm_unserved_key key = {
		.netns_cookie = netns_cookie,
		.cgroup_id = bpf_get_current_cgroup_id(),
	};
	struct sm_unserved value = {
		.seen_ns = bpf_ktime_get_coarse_ns(),
		.reason = reason,
		.netns_inode = inode,
	};

	bpf_map_update_elem(&unserved, &key, &value, BPF_ANY);
}

/* Judges anew, and keeps the verdict in `kept`. */
SM_VERIFIED_ONCE int sm_judge_and_keep(struct bpf_sock_addr *ctx, struct sm_verdict *kept,
				       __u64 netns_cookie, __u64 cgroup_id)
{
	const struct bpf_sock_addr_kern *kernel = (const void *)ctx;
	struct sm_globals *globals = sm_globals();
	__u32 inode, epoch;
	int reason;

	if (!kept || !globals)
		return SM_UNSERVED_NOT;
	epoch = READ_ONCE(globals->served_epoch);
	inode = BPF_CORE_READ(kernel, sk, __sk_common.skc_net.net, ns.inum);
	reason = sm_judge(ctx, netns_cookie, inode, READ_ONCE(globals->served_flags));
	WRITE_ONCE(kept->netns_cookie, 0);
	kept->cgroup_id = cgroup_id;
	kept->at_jiffies = bpf_jiffies64();
	kept->epoch = epoch;
	kept->reason = reason;
	WRITE_ONCE(kept->netns_cookie, netns_cookie);
	if (reason != SM_UNSERVED_NOT)
		sm_note_unserved(netns_cookie, inode, reason);
	return reason;
}

/* There are rules. enum sm_unserved_reason. */
SM_VERIFIED_ONCE int sm_verdict(struct bpf_sock_addr *ctx, __u32 flags, __u32 epoch)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	__u64 cgroup = flags & SM_SERVED_BY_CGROUP ? bpf_get_current_cgroup_id() : 0;
	__u32 slot = (__u32)(netns ^ cgroup) & (SM_VERDICT_SLOTS - 1);
	struct sm_verdict *kept = bpf_map_lookup_elem(&verdicts, &slot);
	__u32 reason;

	if (!kept)
		return SM_UNSERVED_NOT;
	if (likely(READ_ONCE(kept->netns_cookie) == netns && kept->cgroup_id == cgroup &&
		   kept->epoch == epoch &&
		   bpf_jiffies64() - kept->at_jiffies < SM_VERDICT_JIFFIES)) {
		reason = READ_ONCE(kept->reason);
		/* Another task of this CPU may have written meanwhile. */
		if (likely(READ_ONCE(kept->netns_cookie) == netns))
			return reason;
	}
	return sm_judge_and_keep(ctx, kept, netns, cgroup);
}

/* Whether connects of this process are looked at. */
static __always_inline int sm_is_served(struct bpf_sock_addr *ctx)
{
	struct sm_globals *globals = sm_globals();
	__u32 flags;

	if (unlikely(!globals))
		return 1;
	flags = READ_ONCE(globals->served_flags);
	if (!flags)
		return 1;
	return sm_verdict(ctx, flags, READ_ONCE(globals->served_epoch)) == SM_UNSERVED_NOT;
}

#endif /* SOCKMESH_SERVED_H */
