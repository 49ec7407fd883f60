/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket can reach, and which address of an endpoint that is. An IPv4 socket reaches only
 * IPv4. An IPv6 socket reaches both families, except if it is IPv6-only or bound to an address of
 * one family.
 *
 * If not all endpoints of a service have an address of the VIP's family, the service has
 * descriptors for sockets that reach one family (sm_descriptor.ipv4_only, ipv6_only), compiled over
 * the endpoints that such a socket reaches. Other services cost one test of a word that was read
 * already.
 */
#ifndef SOCKMESH_REACH_H
#define SOCKMESH_REACH_H

#include "maps.h"

#define SM_IPV4_HEADER 20 /* bytes */

/* A choice of descriptor and of address family for one socket. */
struct sm_reach {
	const struct sm_descriptor *descriptor; /* NULL: the tables are broken */
	__u8 family; /* SM_FAMILY_*: which address to use if an endpoint has two */
};

static __always_inline const struct sm_descriptor *sm_descriptor_at(__u32 index)
{
	const struct sm_descriptor *d = descriptors_at(index);

	if (!d)
		sm_count(SM_COUNTER_TABLE_BROKEN);
	return d;
}

/* The descriptor for a socket that reaches one family alone; NULL: the tables are broken. */
static __always_inline const struct sm_descriptor *sm_reach_one(const struct sm_descriptor *d,
								__u8 family)
{
	__u32 index = family == SM_FAMILY_V4 ? d->ipv4_only : d->ipv6_only;

	return unlikely(index) ? sm_descriptor_at(index) : d;
}

static __always_inline void sm_reach_ipv4(struct sm_reach *reach)
{
	reach->descriptor = sm_reach_one(reach->descriptor, SM_FAMILY_V4);
	reach->family = SM_FAMILY_V4;
}

static __always_inline void sm_reach_ipv6(struct sm_reach *reach)
{
	reach->descriptor = sm_reach_one(reach->descriptor, SM_FAMILY_V6);
	reach->family = SM_FAMILY_V6;
}

/* IPV6_V6ONLY, which is not in the stable context. */
static __always_inline int sm_is_ipv6_only(struct bpf_sock *sk)
{
	struct sock_common *common = sk->protocol == IPPROTO_UDP
					     ? (struct sock_common *)bpf_skc_to_udp6_sock(sk)
					     : (struct sock_common *)bpf_skc_to_tcp6_sock(sk);

	return common && BPF_CORE_READ_BITFIELD(common, skc_ipv6only);
}

/* An IPv6 socket that went to an IPv4 address before, and failed: the kernel leaves it with IPv4's
 * operations, and its SYN to an IPv6 address would never leave. */
static __always_inline int sm_is_left_to_ipv4(struct bpf_sock *sk)
{
	struct inet_connection_sock *connection =
		(struct inet_connection_sock *)bpf_skc_to_tcp_sock(sk);

	return connection && connection->icsk_af_ops->net_header_len == SM_IPV4_HEADER;
}

/* For an IPv6 socket. reach->family is the VIP's family, if the socket reaches it. */
static __always_inline void sm_reach_of_ipv6_socket(struct bpf_sock *sk, struct sm_reach *reach)
{
	__u32 bound;

	if (likely(!(reach->descriptor->ipv4_only | reach->descriptor->ipv6_only)) || !sk)
		return;
	bound = sk->src_ip6[0] | sk->src_ip6[1];
	if (!bound && sk->src_ip6[2] == bpf_htonl(0xffff))
		sm_reach_ipv4(reach);
	else if (bound || sk->src_ip6[2] || sk->src_ip6[3] || sm_is_ipv6_only(sk))
		sm_reach_ipv6(reach);
	else if (sm_is_left_to_ipv4(sk))
		sm_reach_ipv4(reach);
}

/* Whether a socket that wants an address of `family` goes to the endpoint's other one. */
static __always_inline int sm_takes_other(const struct sm_endpoint *endpoint, __u8 family)
{
	return unlikely(endpoint->family != family) && endpoint->other_family == family;
}

/* Whether `addr_be` and `port_be` are one of the endpoint's addresses. */
static __always_inline int sm_endpoint_is(const struct sm_endpoint *endpoint,
					  const __be32 addr_be[4], __be16 port_be)
{
	if (endpoint->port_be == port_be && sm_ip_equal(endpoint->addr_be, addr_be))
		return 1;
	return unlikely(endpoint->other_family) && endpoint->other_port_be == port_be &&
	       sm_ip_equal(endpoint->other_addr_be, addr_be);
}

#endif /* SOCKMESH_REACH_H */
