/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address of a client whose socket has none yet, as mostly at connect(): the address that the
 * socket's network namespace has. That is the first global address of the first interface that is
 * up and not loopback; of loopback where there is nothing else. For a pod, which has one interface,
 * it is the pod's IP. Addresses and their hashes are kept per namespace for a while.
 */
#ifndef SOCKMESH_CLIENT_ADDRESS_H
#define SOCKMESH_CLIENT_ADDRESS_H

#include "envoy/ip_text.h"
#include "maps.h"

#define SM_NETNS_ADDRESS_JIFFIES       1280 /* 1.3 to 13 seconds, by the kernel's HZ */
#define SM_NETNS_ADDRESS_MAX_DEVICES   64
#define SM_NETNS_ADDRESS_MAX_ADDRESSES 16

/* Who connects. */
struct sm_client {
	struct sm_ip ip; /* IPv4 is v4-mapped; all zero: not known */
	__u64 hash;	 /* 0: not known, or nobody asked */
};

struct sm_addresses {
	__be32 four;
	struct sm_ip six;
	__be32 loopback_four;
	struct list_head *head;
	struct list_head *at;
};

/* The first global IPv4 address in this list of struct in_ifaddr; 0: there is none. */
SM_VERIFIED_ONCE __u32 sm_device_four(__u64 list)
{
	struct in_ifaddr *address = (void *)list;

	for (int i = 0; i < SM_NETNS_ADDRESS_MAX_ADDRESSES && address; i++) {
		if (BPF_CORE_READ(address, ifa_scope) == SM_RT_SCOPE_UNIVERSE)
			return BPF_CORE_READ(address, ifa_local);
		address = BPF_CORE_READ(address, ifa_next);
	}
	return 0;
}

/* `six` becomes the first global IPv6 address of this struct inet6_dev, and stays where there is
 * none. */
SM_VERIFIED_ONCE int sm_device_six(__u64 device, struct sm_ip *six)
{
	struct list_head *head =
		(void *)device + bpf_core_field_offset(struct inet6_dev, addr_list);
	struct list_head *at = BPF_CORE_READ(head, next);

	if (!six)
		return 0;
	for (int i = 0; i < SM_NETNS_ADDRESS_MAX_ADDRESSES && at && at != head; i++) {
		struct inet6_ifaddr *address =
			(void *)at - bpf_core_field_offset(struct inet6_ifaddr, if_list);
		struct sm_ip value = {};

		bpf_core_read(&value, sizeof(value), &address->addr);
		/* fe80::/10 is link-local. */
		if ((bpf_ntohl(value.word[0]) & 0xffc00000) != 0xfe800000) {
			*six = value;
			return 0;
		}
		at = BPF_CORE_READ(at, next);
	}
	return 0;
}

static long sm_look_at_device(__u64 i, struct sm_addresses *found)
{
	struct net_device *device;
	struct in_device *four;
	struct inet6_dev *six;
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
	if (!found->four)
		found->four = sm_device_four((__u64)address);
	six = BPF_CORE_READ(device, ip6_ptr);
	if (six && !sm_ip_is_set(&found->six))
		sm_device_six((__u64)six, &found->six);
	return 0;
}

/* `net` is the address of a struct net. Fills `cached` anew, and `client` with the same values. */
SM_VERIFIED_ONCE int sm_netns_address_find(__u64 net, __u64 netns_cookie,
					   struct sm_netns_address *cached,
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
	bpf_loop(SM_NETNS_ADDRESS_MAX_DEVICES, sm_look_at_device, &found, 0);
	if (!found.four)
		found.four = found.loopback_four;
	hash4 = found.four ? sm_hash4(found.four) : 0;
	if (!sm_ip_is_set(&found.six))
		found.six.word[3] = bpf_htonl(1); /* ::1 */
	hash6 = sm_hash6(&found.six);
	WRITE_ONCE(cached->netns_cookie, 0);
	cached->at_jiffies = bpf_jiffies64();
	cached->hash4 = hash4;
	cached->hash6 = hash6;
	cached->six = found.six;
	cached->four = found.four;
	WRITE_ONCE(cached->netns_cookie, netns_cookie);
	client->hash = v6 ? hash6 : hash4;
	if (v6)
		client->ip = found.six;
	else
		sm_ip_set_mapped(&client->ip, found.four);
	return 0;
}

/* The cookie of the socket's network namespace. */
static __always_inline __u64 sm_netns_of(struct bpf_sock_addr *ctx)
{
	if (sm_has_casts())
		return SM_CAST(struct sock, ctx->sk)->__sk_common.skc_net.net->net_cookie;
	return bpf_get_netns_cookie(ctx);
}

/* The client address of an unbound socket. */
static __always_inline void sm_client_of_netns(struct bpf_sock_addr *ctx, int v6,
					       struct sm_client *client)
{
	__u64 netns_cookie = sm_netns_of(ctx);
	__u32 slot = (__u32)netns_cookie & (SM_NETNS_ADDRESS_SLOTS - 1);
	struct sm_netns_address *cached = bpf_map_lookup_elem(&netns_addresses, &slot);
	const struct bpf_sock_addr_kern *kernel = (const void *)ctx;

	if (!cached)
		return;
	if (READ_ONCE(cached->netns_cookie) == netns_cookie &&
	    bpf_jiffies64() - cached->at_jiffies < SM_NETNS_ADDRESS_JIFFIES) {
		client->hash = v6 ? cached->hash6 : cached->hash4;
		if (v6)
			client->ip = cached->six;
		else
			sm_ip_set_mapped(&client->ip, cached->four);
		/* Another task of this CPU may have written meanwhile. */
		if (READ_ONCE(cached->netns_cookie) == netns_cookie)
			return;
	}
	sm_netns_address_find((__u64)BPF_CORE_READ(kernel, sk, __sk_common.skc_net.net),
			      netns_cookie, cached, client, v6);
}

#endif /* SOCKMESH_CLIENT_ADDRESS_H */
