/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IP addresses: 16 bytes in network byte order, IPv4 as v4-mapped IPv6. */
#ifndef SOCKMESH_IP_H
#define SOCKMESH_IP_H

#include "kernel.h"

struct sm_ip {
	__be32 word[4]; /* IPv4: word[3] */
};

static __always_inline int sm_ip_equal(const __be32 a[4], const __be32 b[4])
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

/* Word by word: a program's context takes no other writes. */
static __always_inline void sm_ip_copy(__be32 to[4], const __be32 from[4])
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

/* The halves of an address, in network order. */
static __always_inline __u64 sm_ip_high(const struct sm_ip *ip)
{
	return ip->word[0] | (__u64)ip->word[1] << 32;
}

static __always_inline __u64 sm_ip_low(const struct sm_ip *ip)
{
	return ip->word[2] | (__u64)ip->word[3] << 32;
}

static __always_inline int sm_ip_is_set(const struct sm_ip *ip)
{
	return ip->word[0] || ip->word[1] || ip->word[2] || ip->word[3];
}

static __always_inline int sm_ip_is_mapped(const struct sm_ip *ip)
{
	return !ip->word[0] && !ip->word[1] && ip->word[2] == bpf_htonl(0xffff);
}

/* Sets `ip` to an IPv4 address; to no address where `four` is 0. */
static __always_inline void sm_ip_set_mapped(struct sm_ip *ip, __be32 four)
{
	ip->word[0] = 0;
	ip->word[1] = 0;
	ip->word[2] = four ? bpf_htonl(0xffff) : 0;
	ip->word[3] = four;
}

#endif /* SOCKMESH_IP_H */
