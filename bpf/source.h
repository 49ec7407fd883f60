/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The hash of a connection's source address, as Envoy's source_ip hash policy has it: xxHash64 of
 * the address as text (inet_ntop's form), without port.
 *
 * At connect() a socket usually has no source address yet. A bound one is taken at its word;
 * otherwise it is the address that the socket's network namespace has: of its first interface that
 * is up and not loopback, the first global address; of loopback where there is nothing else. For a
 * pod, which has one interface, that is the pod's IP. The hash is kept per namespace for a while.
 */
#ifndef SOCKMESH_SOURCE_H
#define SOCKMESH_SOURCE_H

#include <bpf/bpf_core_read.h>

#include "maps.h"
#include "xxh64.h"

#define SM_SOURCE_CACHE	     4096 /* namespaces; a power of two */
#define SM_SOURCE_TTL_NS     (5ULL * 1000 * 1000 * 1000)
#define SM_SOURCE_MAX_DEVICES 64
#define SM_SOURCE_MAX_ADDRESSES 16

#define SM_IFF_UP	(1 << 0)
#define SM_IFF_LOOPBACK (1 << 3)
#define SM_RT_SCOPE_UNIVERSE 0

struct list_head {
	struct list_head *next;
} SM_KERNEL_STRUCT;

struct net {
	struct list_head dev_base_head;
} SM_KERNEL_STRUCT;

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
	unsigned char ifa_scope;
} SM_KERNEL_STRUCT;

struct in_device {
	struct in_ifaddr *ifa_list;
} SM_KERNEL_STRUCT;

struct in6_addr___sm {
	__be32 word[4];
};

struct inet6_ifaddr {
	struct in6_addr___sm addr;
	struct list_head if_list;
} SM_KERNEL_STRUCT;

struct inet6_dev {
	struct list_head addr_list;
} SM_KERNEL_STRUCT;

struct net_device {
	struct list_head dev_list;
	unsigned int flags;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
} SM_KERNEL_STRUCT;

struct sm_source {
	__u64 netns_cookie; /* 0: being written */
	__u64 expires_ns;
	__u64 hash4, hash6; /* 0: no address of that family */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_SOURCE_CACHE);
	__type(key, __u32);
	__type(value, struct sm_source);
} source_cache SEC(".maps") __weak;

/* ---- addresses as text ---- */

static __always_inline void sm_put(struct sm_text *text, char c)
{
	__u32 at = text->length & (SM_TEXT_MAX - 1);

	((char *)text->words)[at] = c;
	text->length = at + 1;
}

static __noinline int sm_text4(struct sm_text *text, __u32 address)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		__u32 byte = (address >> shift) & 0xff;

		if (byte >= 100)
			sm_put(text, '0' + byte / 100);
		if (byte >= 10)
			sm_put(text, '0' + byte / 10 % 10);
		sm_put(text, '0' + byte % 10);
		if (shift)
			sm_put(text, '.');
	}
	return 0;
}

static __always_inline __u32 sm_group16(const __be32 addr_be[4], int i)
{
	__u32 word = bpf_ntohl(addr_be[(i >> 1) & 3]);

	return i & 1 ? word & 0xffff : word >> 16;
}

static __always_inline void sm_put_hex(struct sm_text *text, __u32 value)
{
	int started = 0;

#pragma unroll
	for (int shift = 12; shift >= 0; shift -= 4) {
		__u32 digit = (value >> shift) & 0xf;

		if (digit || started || !shift) {
			sm_put(text, digit < 10 ? '0' + digit : 'a' + digit - 10);
			started = 1;
		}
	}
}

/* As inet_ntop() writes it: the longest run of two or more zero groups is "::". */
static __noinline int sm_text6(struct sm_text *text, const __be32 addr_be[4])
{
	int best = -1, best_length = 1, run = -1;

	for (int i = 0; i < 8; i++) {
		if (sm_group16(addr_be, i)) {
			run = -1;
			continue;
		}
		if (run < 0)
			run = i;
		if (i - run + 1 > best_length) {
			best = run;
			best_length = i - run + 1;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (best >= 0 && i >= best && i < best + best_length) {
			if (i == best)
				sm_put(text, ':');
			if (i == 7)
				sm_put(text, ':');
			continue;
		}
		if (i)
			sm_put(text, ':');
		sm_put_hex(text, sm_group16(addr_be, i));
	}
	return 0;
}

static __always_inline __u64 sm_hash4(__be32 addr_be)
{
	struct sm_text text = {};

	sm_text4(&text, bpf_ntohl(addr_be));
	return sm_xxh64(&text);
}

static __always_inline __u64 sm_hash6(const __be32 addr_be[4])
{
	struct sm_text text = {};

	sm_text6(&text, addr_be);
	return sm_xxh64(&text);
}

/* ---- the namespace's address ---- */

struct sm_addresses {
	__be32 four;
	__be32 six[4];
	__be32 loopback_four;
	struct list_head *head;
	struct list_head *at;
};

static __always_inline void sm_device_six(const struct net_device *device,
					  struct sm_addresses *found)
{
	struct inet6_dev *six = BPF_CORE_READ(device, ip6_ptr);
	struct list_head *head, *at;

	if (!six)
		return;
	head = (void *)six + bpf_core_field_offset(struct inet6_dev, addr_list);
	at = BPF_CORE_READ(head, next);
	for (int i = 0; i < SM_SOURCE_MAX_ADDRESSES && at && at != head; i++) {
		struct inet6_ifaddr *address =
			(void *)at - bpf_core_field_offset(struct inet6_ifaddr, if_list);
		struct in6_addr___sm value;

		bpf_core_read(&value, sizeof(value), &address->addr);
		/* fe80::/10 is link-local. */
		if ((bpf_ntohl(value.word[0]) & 0xffc00000) != 0xfe800000) {
			__builtin_memcpy(found->six, value.word, sizeof(found->six));
			return;
		}
		at = BPF_CORE_READ(at, next);
	}
}

static long sm_look_at_device(__u64 i, struct sm_addresses *found)
{
	struct net_device *device;
	struct in_device *four;
	struct in_ifaddr *address;
	__u32 flags;

	if (!found->at || found->at == found->head)
		return 1;
	device = (void *)found->at - bpf_core_field_offset(struct net_device, dev_list);
	found->at = BPF_CORE_READ(found->at, next);
	flags = BPF_CORE_READ(device, flags);
	if (!(flags & SM_IFF_UP))
		return 0;
	four = BPF_CORE_READ(device, ip_ptr);
	address = four ? BPF_CORE_READ(four, ifa_list) : NULL;
	if (flags & SM_IFF_LOOPBACK) {
		if (address)
			found->loopback_four = BPF_CORE_READ(address, ifa_local);
		return 0;
	}
	for (int n = 0; n < SM_SOURCE_MAX_ADDRESSES && address && !found->four; n++) {
		if (BPF_CORE_READ(address, ifa_scope) == SM_RT_SCOPE_UNIVERSE)
			found->four = BPF_CORE_READ(address, ifa_local);
		address = BPF_CORE_READ(address, ifa_next);
	}
	if (!found->six[0] && !found->six[1] && !found->six[2] && !found->six[3])
		sm_device_six(device, found);
	return 0;
}

static __noinline int sm_find_source(struct bpf_sock *sk, struct sm_source *source)
{
	const __be32 loopback_six[4] = {0, 0, 0, bpf_htonl(1)};
	struct sm_addresses found = {};
	struct sock *sock = (struct sock *)bpf_skc_to_tcp_sock(sk);
	struct net *net;

	if (!sock)
		return 0;
	net = BPF_CORE_READ(sock, __sk_common.skc_net.net);
	found.head = (void *)net + bpf_core_field_offset(struct net, dev_base_head);
	found.at = BPF_CORE_READ(found.head, next);
	bpf_loop(SM_SOURCE_MAX_DEVICES, sm_look_at_device, &found, 0);
	if (!found.four)
		found.four = found.loopback_four;
	source->hash4 = found.four ? sm_hash4(found.four) : 0;
	if (found.six[0] || found.six[1] || found.six[2] || found.six[3])
		source->hash6 = sm_hash6(found.six);
	else
		source->hash6 = sm_hash6(loopback_six);
	return 0;
}

/* The hash of an unbound socket's source; 0 where there is none. */
static __always_inline __u64 sm_source_of_netns(struct bpf_sock *sk, __u64 netns_cookie, int v6)
{
	__u32 slot = (__u32)netns_cookie & (SM_SOURCE_CACHE - 1);
	struct sm_source *cached = bpf_map_lookup_elem(&source_cache, &slot);
	__u64 now = bpf_ktime_get_ns();
	struct sm_source fresh = {};
	__u64 hash;

	if (!cached)
		return 0;
	if (READ_ONCE(cached->netns_cookie) == netns_cookie && cached->expires_ns > now) {
		hash = v6 ? cached->hash6 : cached->hash4;
		/* Another task of this CPU may have written in between. */
		if (READ_ONCE(cached->netns_cookie) == netns_cookie)
			return hash;
	}
	sm_find_source(sk, &fresh);
	WRITE_ONCE(cached->netns_cookie, 0);
	cached->hash4 = fresh.hash4;
	cached->hash6 = fresh.hash6;
	cached->expires_ns = now + SM_SOURCE_TTL_NS;
	WRITE_ONCE(cached->netns_cookie, netns_cookie);
	return v6 ? fresh.hash6 : fresh.hash4;
}

#endif /* SOCKMESH_SOURCE_H */
