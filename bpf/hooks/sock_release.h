/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sock_release: the records whose end TCP does not tell, as of sockets that TCP never heard of, and
 * what UDP sockets leave. */
#ifndef SOCKMESH_HOOK_SOCK_RELEASE_H
#define SOCKMESH_HOOK_SOCK_RELEASE_H

#include "hooks/datagram.h"

/* Whether TCP will not report how this connection ends. During a handshake a report may still
 * come. If it does not, the sweep ends the record. */
static __always_inline int sm_is_untold(const struct sm_connection *record, const struct sock *sk)
{
	if (record->state == SM_CONN_PENDING)
		return 1;
	return unlikely(!sm_calls_back(sk)) &&
	       (record->state == SM_CONN_ESTABLISHED || !sm_in_handshake(sk));
}

/* Apart from the program, which most sockets leave at once. */
static __noinline int sm_released(__u64 cookie, const struct sock *sk)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);

	if (!ref.record || !sm_is_untold(ref.record, sk))
		return 0;
	sm_conn_settle(cookie, 0);
	sm_conn_free(ref);
	return 0;
}

/* A UDP socket: its record and its flows end. */
static __noinline int sm_released_datagram(const struct sock *sk)
{
	__u64 cookie = sm_is_udp_used() ? sm_cookie_of(sk) : 0;

	if (cookie) {
		sm_datagram_released(cookie);
		sm_flow_end_all(cookie);
	}
	return 0;
}

/* The last reference from user space is gone. A record that TCP knows ends when TCP does. */
SEC("cgroup/sock_release")
int sm_sock_release(struct bpf_sock *ctx)
{
	const struct sock *sk;
	__u64 cookie;

	if (unlikely(ctx->protocol == IPPROTO_UDP)) {
		sm_released_datagram((const struct sock *)(const void *)ctx);
		return SM_PROCEED;
	}
	sk = sm_tcp_of(ctx, ctx->protocol);
	cookie = sm_cookie_of(sk);
	if (unlikely(cookie))
		sm_released(cookie, sk);
	return SM_PROCEED;
}

#endif /* SOCKMESH_HOOK_SOCK_RELEASE_H */
