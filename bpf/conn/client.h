/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who connects. A client is what others cannot multiply at will: a pod, by the cgroup that the
 * kubelet made for it, whatever cgroups and namespaces are made inside. Outside pods a client is a
 * network namespace. The namespaces that belong to an unprivileged user's user namespaces are one
 * client, because that user can make as many as it likes.
 *
 * A client has a place in `clients`. Who has found a client keeps the place for a while
 * (clients_seen), so mostly finding a client is a few reads of the socket.
 */
#ifndef SOCKMESH_CLIENT_H
#define SOCKMESH_CLIENT_H

#include "maps.h"

#define SM_CLIENT_WAYS	       8
/* 16 to 164 seconds, by the kernel's HZ. It is read without a call. */
#define SM_CLIENT_SEEN_JIFFIES 16384
#define SM_CLIENT_IDLE_NS      (600ULL * 1000 * 1000 * 1000)
#define SM_CGROUP_DEPTH	       12 /* pods' parents lie no deeper */
#define SM_USERNS_DEPTH	       32 /* the kernel allows no more */
#define SM_CLIENT_UNKNOWN      (~0U)
#define SM_CLIENT_MULTIPLIER   0x9e3779b97f4a7c15ULL

static __always_inline struct sm_client_line *sm_client_line(__u32 client)
{
	return bpf_map_lookup_elem(&clients, &client);
}

/* ---- who a socket's owner is ---- */

/* The id of the ancestor at this level of the cgroup with this address. Apart, as the next one is:
 * the verifier takes each step of sm_pod_of() for one way. */
SM_VERIFIED_ONCE __u64 sm_cgroup_ancestor(__u64 address, __u32 level)
{
	const struct cgroup *cgroup = (const struct cgroup *)(long)address;
	const struct cgroup___ids *old = (const void *)cgroup;
	struct cgroup *ancestor = NULL;
	__u64 id = 0;

	if (!bpf_core_field_exists(cgroup->ancestors)) {
		if (bpf_core_field_exists(old->ancestor_ids))
			bpf_probe_read_kernel(
				&id, sizeof(id),
				(void *)old +
					bpf_core_field_offset(struct cgroup___ids, ancestor_ids) +
					level * sizeof(id));
		return id;
	}
	bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
			      (void *)cgroup + bpf_core_field_offset(struct cgroup, ancestors) +
				      level * sizeof(ancestor));
	return ancestor ? SM_READ(struct cgroup, ancestor, kn, id) : 0;
}

/* `cgroup` is an id. */
SM_VERIFIED_ONCE int sm_is_pod_parent(__u64 cgroup)
{
	struct sm_globals *globals = sm_globals();
	int found = 0;

#pragma unroll
	for (int i = 0; globals && i < SM_POD_PARENTS; i++)
		found |= READ_ONCE(globals->pod_parents[i]) == cgroup;
	return found;
}

/* The pod that lies above `cgroup`, or is it: the child of the deepest of the pods' parents. 0: the
 * cgroup is of no pod. */
static __always_inline __u64 sm_pod_of(__u64 address)
{
	struct sm_globals *globals = sm_globals();
	__u32 deepest = SM_READ(struct cgroup, address, level);
	int below = 0;
	__u64 id, pod = 0;

	if (!globals || !READ_ONCE(globals->pod_parents[0]))
		return 0;
	for (__u32 level = 1; level <= SM_CGROUP_DEPTH && level <= deepest; level++) {
		id = sm_cgroup_ancestor(address, level);
		if (!id)
			break;
		if (below)
			pod = id;
		below = sm_is_pod_parent(id);
		if (below)
			pod = 0;
		else if (pod)
			break;
	}
	return pod;
}

/* The user that made the user namespaces which `net` belongs to; 0: root made them, or none is
 * below the node's own. */
static __always_inline __u32 sm_netns_user(const struct net *net)
{
	const struct user_namespace *at = BPF_CORE_READ(net, user_ns);
	__u32 owner = 0;

	for (int i = 0; i < SM_USERNS_DEPTH && at; i++) {
		if (!BPF_CORE_READ(at, level) || BPF_CORE_READ(at, ns.inum) == settings.node_userns)
			return owner;
		owner = BPF_CORE_READ(at, owner.val);
		at = BPF_CORE_READ(at, parent);
	}
	return owner;
}

/* The client's id. Both arguments are addresses in the kernel: of a cgroup, and of a struct net. */
SM_VERIFIED_ONCE __u64 sm_client_id(__u64 cgroup, __u64 net)
{
	__u64 pod = sm_pod_of(cgroup);
	__u32 user;

	if (pod)
		return SM_CLIENT_IS_POD | pod;
	user = sm_netns_user((const struct net *)(long)net);
	if (user)
		return SM_CLIENT_IS_USER | user;
	return SM_READ(struct net, net, net_cookie);
}

/* ---- its place ---- */

static __always_inline __u32 sm_client_way(__u64 id, __u32 way)
{
	__u32 place = (__u32)((id * SM_CLIENT_MULTIPLIER) >> 40) + way;

	/* Neither SM_CLIENT_NONE nor SM_CLIENT_OTHERS. */
	return 1 + place % (SM_CLIENTS - 2);
}

static __always_inline int sm_client_take(struct sm_client_line *line, __u64 before, __u64 id)
{
	struct sm_globals *globals = sm_globals();

	if (!globals || __sync_val_compare_and_swap(&line->id, before, id) != before)
		return 0;
	/* One after the other: as many clients as there are bits have a bit each. */
	line->number = __sync_fetch_and_add(&globals->clients, 1) & 63;
	line->affinities = 0;
	return 1;
}

/* The place of the client with this id, which gets one if it has none. */
SM_VERIFIED_ONCE __u32 sm_client_place(__u64 id)
{
	__u64 now_ns = bpf_ktime_get_ns(), held;
	struct sm_client_line *line;

	for (__u32 pass = 0; pass < 3; pass++) {
		for (__u32 way = 0; way < SM_CLIENT_WAYS; way++) {
			line = sm_client_line(sm_client_way(id, way));
			if (!line)
				return SM_CLIENT_OTHERS;
			held = READ_ONCE(line->id);
			/* First who has it, then what is free, then who was not seen for long. */
			if (held != id) {
				if (pass == 0 || (pass == 1 && held) ||
				    (held && (READ_ONCE(line->records) ||
					      line->used_ns + SM_CLIENT_IDLE_NS > now_ns)) ||
				    !sm_client_take(line, held, id))
					continue;
			}
			line->used_ns = now_ns;
			return sm_client_way(id, way);
		}
	}
	return SM_CLIENT_OTHERS;
}

static __always_inline struct sm_client_seen *sm_client_seen_of(__u64 cgroup, __u64 netns_cookie)
{
	__u32 slot = (__u32)(((cgroup ^ netns_cookie << 32) * SM_CLIENT_MULTIPLIER) >> 54) &
		     (SM_CLIENTS_SEEN - 1);

	return bpf_map_lookup_elem(&clients_seen, &slot);
}

/* The client, if it was found lately on this CPU; else SM_CLIENT_UNKNOWN. `cgroup` is an id. */
static __always_inline __u32 sm_client_known(__u64 cgroup, __u64 netns_cookie)
{
	struct sm_client_seen *seen = sm_client_seen_of(cgroup, netns_cookie);
	struct sm_globals *globals = sm_globals();
	__u32 client;

	if (!seen || !globals || READ_ONCE(seen->cgroup) != cgroup ||
	    seen->netns_cookie != netns_cookie || seen->pods_epoch != globals->pods_epoch ||
	    bpf_jiffies64() - seen->at_jiffies >= SM_CLIENT_SEEN_JIFFIES)
		return SM_CLIENT_UNKNOWN;
	client = READ_ONCE(seen->client);
	/* Another task of this CPU may have written meanwhile. */
	return READ_ONCE(seen->cgroup) == cgroup ? client : SM_CLIENT_UNKNOWN;
}

/* The client, found anew. The arguments are those of sm_client_id(). */
SM_VERIFIED_ONCE __u32 sm_client_find(__u64 cgroup, __u64 net)
{
	__u64 id = SM_READ(struct cgroup, cgroup, kn, id);
	__u64 netns_cookie = SM_READ(struct net, net, net_cookie);
	struct sm_client_seen *seen = sm_client_seen_of(id, netns_cookie);
	__u32 client = sm_client_place(sm_client_id(cgroup, net));
	struct sm_globals *globals = sm_globals();

	if (!seen || !globals)
		return client;
	WRITE_ONCE(seen->cgroup, 0);
	seen->netns_cookie = netns_cookie;
	seen->at_jiffies = bpf_jiffies64();
	seen->pods_epoch = globals->pods_epoch;
	seen->client = client;
	WRITE_ONCE(seen->cgroup, id);
	return client;
}

/* The client that a socket belongs to, whose address in the kernel this is. */
SM_VERIFIED_ONCE __u32 sm_client_of_sock(__u64 address)
{
	const struct sock *sk = (const struct sock *)(long)address;
	__u32 client =
		sm_client_known(SM_READ(struct sock, sk, sk_cgrp_data.cgroup, kn, id),
				SM_READ(struct sock, sk, __sk_common.skc_net.net, net_cookie));
	struct cgroup *cgroup;
	struct net *net;

	if (likely(client != SM_CLIENT_UNKNOWN))
		return client;
	cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	return sm_client_find((__u64)(long)cgroup, (__u64)(long)net);
}

/* The cookie of the calling process' network namespace. */
static __always_inline __u64 sm_caller_netns(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();

	return task->nsproxy->net_ns->net_cookie;
}

/* The client that the calling process belongs to. */
SM_VERIFIED_ONCE __u32 sm_client_of_caller(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	__u32 client =
		sm_client_known(task->cgroups->dfl_cgrp->kn->id, task->nsproxy->net_ns->net_cookie);
	struct cgroup *cgroup;
	struct net *net;

	if (likely(client != SM_CLIENT_UNKNOWN))
		return client;
	cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	net = BPF_CORE_READ(task, nsproxy, net_ns);
	return sm_client_find((__u64)(long)cgroup, (__u64)(long)net);
}

#endif /* SOCKMESH_CLIENT_H */
