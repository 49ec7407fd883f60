/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection record: which endpoint a socket was sent to, from connect() until TCP is done.
 *
 * Records live in a fixed array of sets with four ways each; the set is the low bits of the socket
 * cookie and the cookie is the tag, claimed by compare-and-swap: no allocation, no lock, and a
 * socket that is not ours costs one 32-byte read. What finds its set full goes to a hash.
 *
 * A record belongs to its socket. connect() and sock_ops run under the socket's lock, and
 * sock_release runs after the last reference from user space is gone. So a record has one writer at
 * a time. The socket is the one in which TCP runs: an MPTCP application holds another one
 * (sm_tcp_of). A record whose socket is gone belongs to the sweep.
 */
#ifndef SOCKMESH_RECORD_H
#define SOCKMESH_RECORD_H

#include "maps.h"

struct sm_conn_ref {
	struct sm_connection *record;
	__u64 *tag; /* NULL: the record is in conn_overflow */
	__u64 cookie;
};

/*
 * The socket in which TCP runs. `sk` is one that an application holds, as the kernel has it: a
 * program's context, or the socket in it.
 */
static __always_inline const struct sock *sm_tcp_of(const void *sk, __u32 protocol)
{
	const struct mptcp_sock *parent = sk;

	if (likely(protocol == IPPROTO_TCP))
		return sk;
	if (protocol == IPPROTO_MPTCP && bpf_core_field_exists(parent->first))
		return BPF_CORE_READ(parent, first);
	return NULL;
}

/* The cookie of a socket. 0: the socket has no cookie yet, and so it has no record. */
static __always_inline __u64 sm_cookie_of(const struct sock *sk)
{
	return sk ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) : 0;
}

/* Way by way, not set by set: the records of sockets made one after the other are
 * neighbours. */
static __always_inline struct sm_connection *sm_conn_record(__u32 set, __u32 way)
{
	__u32 index = way * (settings.conn_set_mask + 1) + set;

	return bpf_map_lookup_elem(&connections, &index);
}

static __always_inline struct sm_conn_tags *sm_conn_set(__u64 cookie, __u32 *set)
{
	*set = (__u32)cookie & settings.conn_set_mask;
	return bpf_map_lookup_elem(&conn_tags, set);
}

/* The record in conn_overflow, if this socket has one. Usually no socket has one. */
static __always_inline struct sm_connection *sm_conn_in_overflow(__u64 cookie)
{
	struct sm_globals *globals = sm_globals();
	struct sm_connection *record;

	if (!globals || !unlikely(READ_ONCE(globals->conn_overflow_live)))
		return NULL;
	record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	return record && record->state != SM_CONN_FREE ? record : NULL;
}

/* The record of the socket with this cookie. .record is NULL if there is none. */
static __always_inline struct sm_conn_ref sm_conn_find(__u64 cookie)
{
	struct sm_conn_ref ref = {.cookie = cookie};
	struct sm_conn_tags *tags;
	__u32 set;

	tags = sm_conn_set(cookie, &set);
	if (!tags)
		return ref;
#pragma unroll
	for (__u32 way = 0; way < SM_CONN_WAYS; way++) {
		if (READ_ONCE(tags->cookie[way]) != cookie)
			continue;
		ref.tag = &tags->cookie[way];
		ref.record = sm_conn_record(set, way);
		return ref;
	}
	ref.record = sm_conn_in_overflow(cookie);
	return ref;
}

static __always_inline struct sm_conn_ref sm_conn_overflow(__u64 cookie)
{
	struct sm_conn_ref ref = {.cookie = cookie};
	struct sm_globals *globals = sm_globals();

	sm_count(SM_COUNTER_CONN_OVERFLOW);
	if (globals && !bpf_map_update_elem(&conn_overflow, &cookie, &sm_no_connection, BPF_ANY))
		ref.record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	if (!ref.record)
		sm_count(SM_COUNTER_CONN_LOST);
	else
		__sync_fetch_and_add(&globals->conn_overflow_live, 1);
	return ref;
}

/*
 * A record for this socket: a new one with state SM_CONN_FREE, for the caller to fill in, or the
 * record that the socket already has, with another state. .record is NULL if there is no memory.
 */
static __always_inline struct sm_conn_ref sm_conn_claim(__u64 cookie)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);
	struct sm_conn_tags *tags;
	__u32 set;

	if (unlikely(ref.record))
		return ref;
	tags = sm_conn_set(cookie, &set);
	if (!tags)
		return ref;
#pragma unroll
	for (__u32 way = 0; way < SM_CONN_WAYS; way++) {
		if (READ_ONCE(tags->cookie[way]))
			continue;
		if (__sync_val_compare_and_swap(&tags->cookie[way], 0, cookie))
			continue;
		ref.tag = &tags->cookie[way];
		ref.record = sm_conn_record(set, way);
		return ref;
	}
	return sm_conn_overflow(cookie);
}

/* The same for `sk` of a sock_addr program's context, without a call for each read. */
static __always_inline __u64 sm_given_cookie(struct bpf_sock *sk)
{
	struct sock *tcp = sk ? (struct sock *)bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp ? tcp->__sk_common.skc_cookie.counter : 0;
}

/* Gives the record back. */
static __always_inline void sm_conn_free(struct sm_conn_ref ref)
{
	struct sm_globals *globals;

	ref.record->state = SM_CONN_FREE;
	if (ref.tag) {
		/* The last write to the record must come before the write to the tag: another
		 * socket may claim the record then. */
		__sync_lock_test_and_set(ref.tag, 0);
		return;
	}
	bpf_map_delete_elem(&conn_overflow, &ref.cookie);
	globals = sm_globals();
	if (globals)
		__sync_fetch_and_add(&globals->conn_overflow_live, -1);
}

#endif /* SOCKMESH_RECORD_H */
