/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address that a socket asked for, where the VIP of its service is a range. The record of the
 * connection says whether the socket's last connect() was to such a service: what is kept here of
 * an earlier connect() does not count.
 */
#ifndef SOCKMESH_ASKED_H
#define SOCKMESH_ASKED_H

#include "kernel.h"
#include "maps.h"

/* The socket that the application holds, where `sk` is one that the kernel made for MPTCP; else
 * NULL. Linux 5.18 does not know the way, and shows the first address of the range. */
static __always_inline struct mptcp_sock *sm_mptcp_of(struct bpf_sock *sk)
{
	if (!bpf_core_type_exists(struct mptcp_sock) ||
	    !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_skc_to_mptcp_sock))
		return NULL;
	return bpf_skc_to_mptcp_sock(sk);
}

/* What is kept for the socket of a connect hook, which of MPTCP is a subflow. `flags` are those of
 * bpf_sk_storage_get(). */
static __always_inline struct sm_asked *sm_asked_in_connect(struct bpf_sock_addr *ctx, __u64 flags)
{
	struct bpf_sock *sk = ctx->sk;
	struct mptcp_sock *parent;

	if (!sk)
		return NULL;
	parent = sm_mptcp_of(sk);
	return bpf_sk_storage_get(&asked, parent ? (void *)parent : sk, 0, flags);
}

/* Keeps the address; `high` and `low` are its halves. Without memory, getpeername() shows the first
 * address of the range. */
SM_VERIFIED_ONCE int sm_ask(struct bpf_sock_addr *ctx, __u64 high, __u64 low)
{
	struct sm_asked *kept = sm_asked_in_connect(ctx, BPF_SK_STORAGE_GET_F_CREATE);

	if (!kept)
		return 0;
	kept->addr_be[0] = (__be32)high;
	kept->addr_be[1] = (__be32)(high >> 32);
	kept->addr_be[2] = (__be32)low;
	kept->addr_be[3] = (__be32)(low >> 32);
	return 0;
}

/* What was kept; NULL: nothing. */
static __always_inline const struct sm_asked *sm_asked_of(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&asked, sk, 0, 0) : NULL;
}

#endif /* SOCKMESH_ASKED_H */
