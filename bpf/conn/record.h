/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection record: which endpoint a socket was sent to, from connect() until TCP is done.
 *
 * Records live in a fixed array of sets with four ways each. The set is the low bits of the socket
 * cookie. The cookie is the tag, and the first word of the record. It is claimed by
 * compare-and-swap: no allocation and no lock. Almost every record is in way 0 of its set, so it is
 * found with one cache line. The same line tells that the other ways are free. A socket that finds
 * its set full gets a record in a hash.
 *
 * A record belongs to its socket. connect() and sock_ops run under the socket's lock, and
 * sock_release runs after the last reference from user space is gone. So a record has one writer at
 * a time. The socket is the one in which TCP runs: an MPTCP application holds another one
 * (sm_tcp_of). A record whose socket is gone belongs to the sweep.
 */
#ifndef SOCKMESH_RECORD_H
#define SOCKMESH_RECORD_H

#include "conn/client.h"

/* Places beside the ways of a set. */
#define SM_CONN_IN_OVERFLOW SM_CONN_WAYS
#define SM_CONN_NOWHERE	    (SM_CONN_WAYS + 1)

struct sm_conn_ref {
	struct sm_connection *record;
	__u64 cookie;
	__u32 place; /* a way, or SM_CONN_IN_OVERFLOW */
};

/* Way 0 of a socket's set, asked for before it is needed: memory answers meanwhile. */
struct sm_conn_home {
	struct sm_connection *record;
	__u64 cookie;
	__u64 held; /* the cookie that is in way 0 */
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
		return SM_READ(struct mptcp_sock, parent, first);
	return NULL;
}

/* The cookie of a socket. 0: the socket has no cookie yet, and so it has no record. */
static __always_inline __u64 sm_cookie_of(const struct sock *sk)
{
	return sk ? (__u64)SM_READ(struct sock, sk, __sk_common.skc_cookie.counter) : 0;
}

/* Way by way, not set by set: the records of sockets made one after the other are
 * neighbours. */
static __always_inline struct sm_connection *sm_conn_record(__u32 set, __u32 way)
{
	__u32 index = way * (settings.conn_set_mask + 1) + set;

	return bpf_map_lookup_elem(&connections, &index);
}

static __always_inline struct sm_connection *sm_conn_in_set(__u64 cookie, __u32 way)
{
	return sm_conn_record((__u32)cookie & settings.conn_set_mask, way);
}

/* Usually no socket has a record in conn_overflow. */
static __always_inline int sm_conn_overflows(void)
{
	struct sm_globals *globals = sm_globals();

	return globals && READ_ONCE(globals->conn_overflow_live);
}

/* Where a socket has its record, except in way 0. */
SM_VERIFIED_ONCE __u32 sm_conn_search(__u64 cookie)
{
	struct sm_connection *record = sm_conn_in_set(cookie, 0);
	__u32 ways = record ? READ_ONCE(record->other_ways) : 0;

	for (__u32 way = 1; way < SM_CONN_WAYS; way++) {
		if (!(ways & (1U << way)))
			continue;
		record = sm_conn_in_set(cookie, way);
		if (record && READ_ONCE(record->cookie) == cookie)
			return way;
	}
	if (!sm_conn_overflows())
		return SM_CONN_NOWHERE;
	record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	return record && record->state != SM_CONN_FREE ? SM_CONN_IN_OVERFLOW : SM_CONN_NOWHERE;
}

static __always_inline struct sm_conn_ref sm_conn_at(__u64 cookie, __u32 place)
{
	struct sm_conn_ref ref = {.cookie = cookie, .place = place};

	if (place < SM_CONN_WAYS)
		ref.record = sm_conn_in_set(cookie, place);
	else if (place == SM_CONN_IN_OVERFLOW)
		ref.record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	return ref;
}

/* The record of the socket with this cookie. .record is NULL if there is none. */
static __always_inline struct sm_conn_ref sm_conn_find(__u64 cookie)
{
	struct sm_conn_ref ref = {.cookie = cookie};

	ref.record = sm_conn_in_set(cookie, 0);
	if (!ref.record || likely(READ_ONCE(ref.record->cookie) == cookie))
		return ref;
	return sm_conn_at(cookie, sm_conn_search(cookie));
}

static __always_inline int sm_conn_take(struct sm_connection *record, __u64 cookie)
{
	return record && !READ_ONCE(record->cookie) &&
	       !__sync_val_compare_and_swap(&record->cookie, 0, cookie);
}

/* A record in conn_overflow, within the share of the calling process' client: one client that opens
 * very many connections takes the memory of nobody else's. */
static __always_inline __u32 sm_conn_take_overflow(__u64 cookie)
{
	__u32 client = sm_client_of_caller();
	struct sm_client_line *line = sm_client_line(client);
	struct sm_globals *globals = sm_globals();
	struct sm_connection *record;

	sm_count(SM_COUNTER_CONN_OVERFLOW);
	if (!globals || !line || READ_ONCE(line->records) >= settings.overflow_share ||
	    bpf_map_update_elem(&conn_overflow, &cookie, &sm_no_connection, BPF_ANY)) {
		sm_count(SM_COUNTER_CONN_LOST);
		return SM_CONN_NOWHERE;
	}
	__sync_fetch_and_add(&globals->conn_overflow_live, 1);
	record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	if (record) {
		record->holder = client;
		__sync_fetch_and_add(&line->records, 1);
	}
	return SM_CONN_IN_OVERFLOW;
}

/* Gives back a client's share of conn_overflow that the record of this socket takes. */
static __always_inline void sm_conn_leave_share(__u64 cookie)
{
	struct sm_connection *record = bpf_map_lookup_elem(&conn_overflow, &cookie);
	struct sm_client_line *line = record ? sm_client_line(record->holder) : NULL;

	if (line && record->holder)
		__sync_fetch_and_add(&line->records, -1);
}

/* A place for the record of a socket: where it has one, or else a new one. */
SM_VERIFIED_ONCE __u32 sm_conn_claim_place(__u64 cookie)
{
	struct sm_connection *home = sm_conn_in_set(cookie, 0);
	__u32 place;

	if (!home)
		return SM_CONN_NOWHERE;
	if (READ_ONCE(home->cookie) == cookie)
		return 0;
	place = sm_conn_search(cookie);
	if (place != SM_CONN_NOWHERE)
		return place;
	if (sm_conn_take(home, cookie))
		return 0;
	for (__u32 way = 1; way < SM_CONN_WAYS; way++) {
		if (!sm_conn_take(sm_conn_in_set(cookie, way), cookie))
			continue;
		__sync_fetch_and_or(&home->other_ways, 1U << way);
		return way;
	}
	return sm_conn_take_overflow(cookie);
}

/* Asks for the cache line that the record of this socket will most likely be in. */
static __always_inline void sm_conn_ask(__u64 cookie, struct sm_conn_home *home)
{
	home->cookie = cookie;
	home->record = sm_conn_in_set(cookie, 0);
	home->held = home->record ? READ_ONCE(home->record->cookie) : cookie;
}

/*
 * A record for this socket: a new one with state SM_CONN_FREE, for the caller to fill in, or the
 * record that the socket already has, with another state. .record is NULL if there is no memory.
 * A record elsewhere shows in other_ways, or in the count of conn_overflow.
 */
static __always_inline struct sm_conn_ref sm_conn_claim(const struct sm_conn_home *home)
{
	struct sm_conn_ref ref = {.record = home->record, .cookie = home->cookie};

	if (likely(home->record && !home->held && !READ_ONCE(home->record->other_ways) &&
		   !sm_conn_overflows() &&
		   !__sync_val_compare_and_swap(&home->record->cookie, 0, home->cookie)))
		return ref;
	return sm_conn_at(home->cookie, sm_conn_claim_place(home->cookie));
}

/* The same for the socket of a sock_addr program. Before Linux 6.2 a TCP socket costs one call, and
 * another one two. */
static __always_inline __u64 sm_given_cookie(struct bpf_sock_addr *ctx, __u32 protocol)
{
	const struct bpf_sock_addr_kern *kernel = (const void *)ctx;
	struct sock *tcp;

	if (sm_has_casts())
		return SM_CAST(struct sock, ctx->sk)->__sk_common.skc_cookie.counter;
	if (protocol != IPPROTO_TCP)
		return sm_cookie_of(BPF_CORE_READ(kernel, sk));
	tcp = ctx->sk ? (struct sock *)bpf_skc_to_tcp_sock(ctx->sk) : NULL;
	return tcp ? tcp->__sk_common.skc_cookie.counter : 0;
}

/* Gives back a place that is not way 0. */
SM_VERIFIED_ONCE int sm_conn_free_place(__u64 cookie, __u32 place)
{
	struct sm_connection *home = sm_conn_in_set(cookie, 0);
	struct sm_globals *globals = sm_globals();

	if (place < SM_CONN_WAYS) {
		/* Before the tag: whoever claims the place next sets the bit again. */
		if (home)
			__sync_fetch_and_and(&home->other_ways, ~(1U << place));
		return 0;
	}
	sm_conn_leave_share(cookie);
	bpf_map_delete_elem(&conn_overflow, &cookie);
	if (globals)
		__sync_fetch_and_add(&globals->conn_overflow_live, -1);
	return 0;
}

/* Gives the record back. */
static __always_inline void sm_conn_free(struct sm_conn_ref ref)
{
	ref.record->state = SM_CONN_FREE;
	if (unlikely(ref.place))
		sm_conn_free_place(ref.cookie, ref.place);
	if (ref.place == SM_CONN_IN_OVERFLOW)
		return;
	/* The last write to the record must come before the write to the tag: another socket may
	 * claim the record then. */
	__sync_lock_test_and_set(&ref.record->cookie, 0);
}

#endif /* SOCKMESH_RECORD_H */
