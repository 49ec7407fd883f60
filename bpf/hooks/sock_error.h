/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Errors of UDP sockets. An ICMP "port unreachable" for a connected socket is the one thing that
 * says of UDP that an endpoint has failed. The kernel reports the error to the socket, and no hook
 * of a cgroup sees it: the application may not call anything before it closes the socket.
 *
 * The tracepoint runs for each error that a socket of the node meets. It does something only for a
 * UDP socket that has a record.
 */
#ifndef SOCKMESH_HOOK_SOCK_ERROR_H
#define SOCKMESH_HOOK_SOCK_ERROR_H

#include "hooks/datagram.h"

SEC("tp_btf/inet_sk_error_report")
int sm_sock_error(__u64 *ctx)
{
	const struct sock *sk = (const struct sock *)ctx[0];
	struct sm_conn_ref ref;
	__u64 cookie;

	if (sk->sk_protocol != IPPROTO_UDP || !sm_is_udp_used())
		return 0;
	cookie = (__u64)sk->__sk_common.skc_cookie.counter;
	if (!cookie || sk->sk_err <= 0)
		return 0;
	ref = sm_conn_find(cookie);
	if (ref.record)
		sm_datagram_failed(ref.record, sk->sk_err);
	return 0;
}

#endif /* SOCKMESH_HOOK_SOCK_ERROR_H */
