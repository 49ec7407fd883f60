/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection's source address, and its hash as Envoy's source_ip hash policy has it: xxHash64 of
 * the address as text (inet_ntop's form), without port.
 *
 * At connect() a socket usually has no source address yet. A bound one is taken at its word;
 * otherwise it is the address that the socket's network namespace has: of its first interface that
 * is up and not loopback, the first global address; of loopback where there is nothing else. For a
 * pod, which has one interface, that is the pod's IP. Both are kept per namespace for a while.
 */
#ifndef SOCKMESH_SOURCE_H
#define SOCKMESH_SOURCE_H

#include <bpf/bpf_core_read.h>

#include "maps.h"
#include "envoy/xxh64.h"

#define SM_SOURCE_CACHE		4096 /* namespaces; a power of two */
#define SM_SOURCE_TTL_NS	(5ULL * 1000 * 1000 * 1000)
#define SM_SOURCE_MAX_DEVICES	64
#define SM_SOURCE_MAX_ADDRESSES 16

#define SM_IFF_UP	     (1 << 0)
#define SM_IFF_LOOPBACK	     (1 << 3)
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

struct in6_addr {
	__u8 bytes[16];
};

struct inet6_ifaddr {
	struct in6_addr addr;
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

struct sm_ip {
	__be32 word[4]; /* IPv4: word[3] */
};

struct sm_source {
	__u64 netns_cookie; /* 0: being written */
	__u64 expires_ns;
	__u64 hash4, hash6; /* 0: no address of that family */
	struct sm_ip six;
	__be32 four;
	__u32 pad;
};

/* Who connects. */
struct sm_client {
	struct sm_ip ip; /* IPv4 is v4-mapped; all zero: not known */
	__u64 hash;	 /* 0: not known, or nobody asked */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SM_SOURCE_CACHE);
	__type(key, __u32);
	__type(value, struct sm_source);
} source_cache SEC(".maps") __weak;

/* ---- addresses as text ----
 *
 * Global functions: the verifier looks at each once, with any argument, instead of once for every
 * way that leads to it; a text's many shapes would otherwise be as many states.
 */

static __always_inline void sm_put(struct sm_text *text, char c)
{
	__u32 at = text->length & (SM_TEXT_MAX - 1);

	((char *)text->words)[at] = c;
	text->length = at + 1;
}

__noinline int sm_put_byte(struct sm_text *text, __u32 byte)
{
	if (!text)
		return 0;
	byte &= 0xff;
	if (byte >= 100)
		sm_put(text, '0' + byte / 100);
	if (byte >= 10)
		sm_put(text, '0' + byte / 10 % 10);
	sm_put(text, '0' + byte % 10);
	return 0;
}

/* Up to four hexadecimal digits, without leading zeros. */
__noinline int sm_put_group(struct sm_text *text, __u32 value)
{
	__u32 started = 0;

	if (!text)
		return 0;
	for (int shift = 12; shift >= 0; shift -= 4) {
		__u32 digit = (value >> shift) & 0xf;

		started |= digit;
		if (started || !shift)
			sm_put(text, digit < 10 ? '0' + digit : 'a' + digit - 10);
	}
	return 0;
}

__noinline int sm_put_char(struct sm_text *text, __u32 c)
{
	if (text)
		sm_put(text, (char)c);
	return 0;
}

/* The longest run of two or more set bits of eight, the first of equals: start | length << 8. */
__noinline int sm_longest_run(__u32 bits)
{
	__u32 runs = bits & 0xff, length = 0, start = 0;

	for (__u32 n = 2; n <= 8; n++) {
		runs &= (bits & 0xff) >> (n - 1);
		if (!runs)
			break;
		length = n;
		start = 0;
		for (__u32 i = 0; i < 8; i++) {
			if (runs & (1U << i)) {
				start = i;
				break;
			}
		}
	}
	return (int)(start | length << 8);
}

static __always_inline __u32 sm_group16(const struct sm_ip *ip, int i)
{
	__u32 word = bpf_ntohl(ip->word[i >> 1]);

	return i & 1 ? word & 0xffff : word >> 16;
}

__noinline int sm_text4(struct sm_text *text, __u32 address)
{
	if (!text)
		return 0;
	sm_put_byte(text, address >> 24);
	sm_put(text, '.');
	sm_put_byte(text, address >> 16);
	sm_put(text, '.');
	sm_put_byte(text, address >> 8);
	sm_put(text, '.');
	sm_put_byte(text, address);
	return 0;
}

/* As inet_ntop() writes it: the longest run of two or more zero groups is "::". */
__noinline int sm_text6(struct sm_text *text, const struct sm_ip *ip)
{
	__u32 zeros = 0, run, start, end;

	if (!text || !ip)
		return 0;
#pragma unroll
	for (int i = 0; i < 8; i++)
		zeros |= (__u32)!sm_group16(ip, i) << i;
	run = (__u32)sm_longest_run(zeros);
	start = run & 0xff;
	end = start + (run >> 8);
#pragma unroll
	for (__u32 i = 0; i < 8; i++) {
		if (i >= start && i < end) {
			if (i == start || i == 7)
				sm_put_char(text, ':');
			continue;
		}
		if (i)
			sm_put_char(text, ':');
		sm_put_group(text, sm_group16(ip, i));
	}
	return 0;
}

static __always_inline __u64 sm_hash4(__be32 addr_be)
{
	struct sm_text text = {};

	sm_text4(&text, bpf_ntohl(addr_be));
	return sm_xxh64(&text);
}

static __always_inline __u64 sm_hash6(const struct sm_ip *ip)
{
	struct sm_text text = {};

	sm_text6(&text, ip);
	return sm_xxh64(&text);
}

/* ---- the namespace's address ---- */

struct sm_addresses {
	__be32 four;
	struct sm_ip six;
	__be32 loopback_four;
	struct list_head *head;
	struct list_head *at;
};

static __always_inline int sm_any(const struct sm_ip *ip)
{
	return ip->word[0] || ip->word[1] || ip->word[2] || ip->word[3];
}

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
		struct sm_ip value = {};

		bpf_core_read(&value, sizeof(value), &address->addr);
		/* fe80::/10 is link-local. */
		if ((bpf_ntohl(value.word[0]) & 0xffc00000) != 0xfe800000) {
			found->six = value;
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
	struct list_head *at = found->at;
	__u32 flags;

	if (!at || at == found->head)
		return 1;
	device = (void *)at - bpf_core_field_offset(struct net_device, dev_list);
	found->at = BPF_CORE_READ(at, next);
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
	if (!sm_any(&found->six))
		sm_device_six(device, found);
	return 0;
}

static __always_inline void sm_mapped(struct sm_ip *ip, __be32 four)
{
	ip->word[0] = 0;
	ip->word[1] = 0;
	ip->word[2] = four ? bpf_htonl(0xffff) : 0;
	ip->word[3] = four;
}

/* `net` is the address of a struct net. Fills `cached` anew, and `client` from the same. */
__noinline int sm_find_source(__u64 net, __u64 netns_cookie, struct sm_source *cached,
			      struct sm_client *client, int v6)
{
	struct sm_addresses found = {};
	__u64 hash4, hash6;
	struct list_head *at;

	if (!cached || !client)
		return 0;
	found.head = (void *)net + bpf_core_field_offset(struct net, dev_base_head);
	at = found.head;
	found.at = BPF_CORE_READ(at, next);
	bpf_loop(SM_SOURCE_MAX_DEVICES, sm_look_at_device, &found, 0);
	if (!found.four)
		found.four = found.loopback_four;
	hash4 = found.four ? sm_hash4(found.four) : 0;
	if (!sm_any(&found.six))
		found.six.word[3] = bpf_htonl(1); /* ::1 */
	hash6 = sm_hash6(&found.six);
	WRITE_ONCE(cached->netns_cookie, 0);
	cached->expires_ns = bpf_ktime_get_ns() + SM_SOURCE_TTL_NS;
	cached->hash4 = hash4;
	cached->hash6 = hash6;
	cached->six = found.six;
	cached->four = found.four;
	WRITE_ONCE(cached->netns_cookie, netns_cookie);
	client->hash = v6 ? hash6 : hash4;
	if (v6)
		client->ip = found.six;
	else
		sm_mapped(&client->ip, found.four);
	return 0;
}

/* The source of an unbound socket. */
static __always_inline void sm_client_of_netns(struct bpf_sock *sk, __u64 netns_cookie, int v6,
					       struct sm_client *client)
{
	__u32 slot = (__u32)netns_cookie & (SM_SOURCE_CACHE - 1);
	struct sm_source *cached = bpf_map_lookup_elem(&source_cache, &slot);
	struct sock *sock;

	if (!cached)
		return;
	if (READ_ONCE(cached->netns_cookie) == netns_cookie &&
	    cached->expires_ns > bpf_ktime_get_ns()) {
		client->hash = v6 ? cached->hash6 : cached->hash4;
		if (v6)
			client->ip = cached->six;
		else
			sm_mapped(&client->ip, cached->four);
		/* Another task of this CPU may have written in between. */
		if (READ_ONCE(cached->netns_cookie) == netns_cookie)
			return;
	}
	sock = (struct sock *)bpf_skc_to_tcp_sock(sk);
	if (sock)
		sm_find_source((__u64)BPF_CORE_READ(sock, __sk_common.skc_net.net), netns_cookie,
			       cached, client, v6);
}

#endif /* SOCKMESH_SOURCE_H */
