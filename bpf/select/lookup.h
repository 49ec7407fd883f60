/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The service behind a VIP.
 *
 *   filter -> frontends[key] -> service id -> heads[id] -> descriptor
 *          \-> ranges[key]    -/
 *
 * One array read tells of most addresses that they are no VIP. For the others one hash lookup, then
 * array reads. Only a TCP address that is no frontend is looked for among the ranges, and the
 * filter lets it pass only while there are ranges. The caller runs under RCU, as every cgroup
 * program does: ids that it reads here are not reused before it has returned.
 */
#ifndef SOCKMESH_LOOKUP_H
#define SOCKMESH_LOOKUP_H

#include "maps.h"

/* How often a lookup that met a recycled hash element starts over. */
#define SM_LOOKUP_TRIES 4

/* Where a socket wants to go. */
struct sm_dest {
	struct sm_ip addr; /* IPv4 is v4-mapped */
	__be16 port_be;
	__u8 protocol;	    /* IPPROTO_* */
	__u8 family;	    /* SM_FAMILY_* of the address: V4 where it is v4-mapped */
	__u8 socket_family; /* SM_FAMILY_* of the socket */
	/* 1: an IPv6 socket that cannot be sent to an IPv4 address, although it may have one. */
	__u8 keeps_family;
	__u16 pad;
};

/* Where a context of an IPv4 hook wants to go. */
static __always_inline struct sm_dest sm_dest4(const struct bpf_sock_addr *ctx)
{
	const struct sm_dest to = {
		.addr.word = {0, 0, bpf_htonl(0xffff), ctx->user_ip4},
		.port_be = (__be16)ctx->user_port,
		.protocol = (__u8)ctx->protocol,
		.family = SM_FAMILY_V4,
		.socket_family = SM_FAMILY_V4,
	};

	return to;
}

/* 0: no service has this VIP. */
static __always_inline int sm_may_be_vip(const struct sm_dest *to)
{
	__u64 hash = to->family == SM_FAMILY_V4
			     ? sm_filter_hash4(to->addr.word[3], to->port_be, to->protocol)
			     : sm_filter_hash6(to->addr.word, to->port_be, to->protocol);
	__u32 at = SM_FILTER_WORD(hash);
	__u64 *word = bpf_map_lookup_elem(&frontend_filter, &at);

	return word && (READ_ONCE(*word) & SM_FILTER_BIT(hash));
}

/* The service id in the hash element of this key, or NULL. */
static __always_inline const __u32 *sm_frontend4_of(__be32 addr_be, __be16 port_be, __u8 protocol)
{
	struct sm_frontend4_key key = {
		.addr_be = addr_be,
		.port_be = port_be,
		.protocol = protocol,
	};

	return bpf_map_lookup_elem(&frontends4, &key);
}

static __always_inline const __u32 *sm_frontend6_of(const struct sm_dest *to)
{
	struct sm_frontend6_key key = {
		.port_be = to->port_be,
		.protocol = to->protocol,
	};

	sm_ip_copy(key.addr_be, to->addr.word);
	return bpf_map_lookup_elem(&frontends6, &key);
}

static __always_inline const __u32 *sm_frontend_of(const struct sm_dest *to)
{
	if (to->family == SM_FAMILY_V4)
		return sm_frontend4_of(to->addr.word[3], to->port_be, to->protocol);
	return sm_frontend6_of(to);
}

static __always_inline struct sm_descriptor *sm_descriptor_of(const __u32 *value)
{
	__u32 service_id = READ_ONCE(*value);
	__u32 *head = bpf_map_lookup_elem(&heads, &service_id);

	return head ? descriptors_at(READ_ONCE(*head)) : NULL;
}

static __always_inline int sm_descriptor_is_of(const struct sm_descriptor *d,
					       const struct sm_dest *to)
{
	if (d->port_be != to->port_be || d->protocol != to->protocol || d->family != to->family)
		return 0;
	if (to->family == SM_FAMILY_V4)
		return d->addr_be[3] == to->addr.word[3];
	return sm_ip_equal(d->addr_be, to->addr.word);
}

/* Whether the range of `d` has the address. `low` and `high` are its halves, in network order. */
static __always_inline int sm_range_has(const struct sm_descriptor *d, __u64 high, __u64 low)
{
	const __be64 *of = (const void *)d->addr_be;
	__u32 bits = d->range_bits;
	__u64 unlike_high = bpf_be64_to_cpu(of[0] ^ high),
	      unlike_low = bpf_be64_to_cpu(of[1] ^ low);

	if (bits == 0 || bits > SM_RANGE_ADDRESS_BITS)
		return 0;
	if (bits <= 64)
		return unlike_high >> (64 - bits) == 0;
	return !unlike_high && unlike_low >> (SM_RANGE_ADDRESS_BITS - bits) == 0;
}

/*
 * The descriptor's index of the service with the longest range that has the TCP address; SM_NONE:
 * there is none. `high` and `low` are the halves of the address. A node of the trie may be
 * recycled like an element of the hash.
 */
#ifndef SM_WITHOUT_RANGES
SM_VERIFIED_ONCE __u32 sm_range_of(__u64 high, __u64 low, __be16 port_be)
{
	struct sm_range_key key = {
		.prefix_length = SM_RANGE_FIXED_BITS + SM_RANGE_ADDRESS_BITS,
		.protocol = IPPROTO_TCP,
		.port_be = port_be,
	};
	__u32 family = !high && (__be32)low == bpf_htonl(0xffff) ? SM_FAMILY_V4 : SM_FAMILY_V6;
	const struct sm_descriptor *d;
	__u32 *value, *head, service_id, index;

	__builtin_memcpy(&key.addr_be[0], &high, sizeof(high));
	__builtin_memcpy(&key.addr_be[2], &low, sizeof(low));
#pragma clang loop unroll(disable)
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		value = bpf_map_lookup_elem(&ranges, &key);
		if (!value)
			return SM_NONE;
		service_id = READ_ONCE(*value);
		head = bpf_map_lookup_elem(&heads, &service_id);
		index = head ? READ_ONCE(*head) : SM_NONE;
		d = descriptors_at(index);
		/* A short range of IPv6 has the v4-mapped addresses in it. */
		if (d && d->port_be == port_be && sm_range_has(d, high, low))
			return d->family == family ? index : SM_NONE;
		sm_count(SM_COUNTER_LOOKUP_RETRY);
	}
	sm_count(SM_COUNTER_LOOKUP_EXHAUSTED);
	return SM_NONE;
}
#endif

/* The service with a range that has the address, or NULL. Sleepable programs may not look into a
 * trie. An object where such a program selects defines SM_WITHOUT_RANGES. */
static __always_inline struct sm_descriptor *sm_lookup_range(const struct sm_dest *to)
{
#ifdef SM_WITHOUT_RANGES
	return NULL;
#else
	__u32 index;

	if (to->protocol != IPPROTO_TCP)
		return NULL;
	index = sm_range_of(sm_ip_high(&to->addr), sm_ip_low(&to->addr), to->port_be);
	return index ? descriptors_at(index) : NULL;
#endif
}

/*
 * The service of an address that the filter has let pass, or NULL. A hash lookup gives a pointer
 * into an element that may be recycled for another key before it is read. The descriptor repeats
 * its key, so the difference shows.
 */
static __always_inline struct sm_descriptor *sm_lookup_vip(const struct sm_dest *to)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < SM_LOOKUP_TRIES; i++) {
		const __u32 *value = sm_frontend_of(to);
		struct sm_descriptor *d;

		if (!value)
			return sm_lookup_range(to);
		d = sm_descriptor_of(value);
		if (unlikely(!d)) {
			sm_count(SM_COUNTER_TABLE_BROKEN);
			return NULL;
		}
		if (likely(sm_descriptor_is_of(d, to)))
			return d;
		sm_count(SM_COUNTER_LOOKUP_RETRY);
	}
	sm_count(SM_COUNTER_LOOKUP_EXHAUSTED);
	return NULL;
}

/* The same for any address. */
static __always_inline struct sm_descriptor *sm_lookup(const struct sm_dest *to)
{
	return likely(!sm_may_be_vip(to)) ? NULL : sm_lookup_vip(to);
}

#endif /* SOCKMESH_LOOKUP_H */
